// The network in onnxruntime-web, and the loop around it: that of ../onnx/follow.py.

const RUNTIME = "./node_modules/onnxruntime-web/dist";
const MEMORIZE_EVERY = 5;

export async function load(folder) {
  const adapter = await navigator.gpu?.requestAdapter();
  const onGpu = adapter?.features.has("shader-f16"); // for the graphs may be float16
  const by = onGpu ? "webgpu" : "wasm";
  const { InferenceSession, Tensor } = await import(`${RUNTIME}/ort.${by}.bundle.min.mjs`);
  const options = { executionProviders: [by] };
  const memorize = await InferenceSession.create(`${folder}/memorize.onnx`, options);
  const segment = await InferenceSession.create(`${folder}/segment.onnx`, options);
  const shapes = Object.fromEntries(segment.inputMetadata.map((each) => [each.name, each.shape]));
  const [height, width] = shapes.frame;
  const [objects, slots] = shapes.filled;
  return { Tensor, memorize, segment, height, width, objects, slots, by };
}

// Yields each frame with its ids, the first of which are `mask`: 0 for background, 1, 2, ...
// Frames are RGB, and all arrays are of bytes, row by row.
export async function* follow(network, frames, mask) {
  const { Tensor, memorize, segment, height, width, objects, slots } = network;
  const pixels = height * width;
  let soft = new Float32Array(objects * pixels);
  mask.forEach((id, at) => id && (soft[(id - 1) * pixels + at] = 1));
  const present = new Set(mask);
  const filled = new Uint8Array(objects * slots);
  const numbers = new Array(slots).fill(-1);
  let keys, values, before, ids = mask, number = 0;
  for await (const bytes of frames) {
    const frame = new Tensor("uint8", bytes, [height, width, 3]);
    if (before) {
      const masks = new Tensor("float32", soft, [objects, height, width]);
      const { key, value } = await memorize.run({ frame: before, masks });
      keys ??= empty(key), values ??= empty(value);
      // Slot 0 is the previous frame's; every so often one stays, in a slot of its own.
      const at = (number - 1) % MEMORIZE_EVERY ? 0 : slotFor(numbers);
      for (let object = 0; object < objects; object++) {
        filled[object * slots] = 0;
        filled[object * slots + at] = present.has(object + 1);
        write(keys, key, object, at), write(values, value, object, at);
      }
      if (at) numbers[at] = number - 1;
      const memory = { keys, values, filled: new Tensor("bool", filled, [objects, slots]) };
      const { probabilities } = await segment.run({ frame, ...memory });
      soft = probabilities.data.slice(pixels);
      ids = mostProbable(probabilities.data, pixels);
    }
    yield { bytes, ids };
    before = frame, number++;
  }

  function empty({ type, dims: [, ...rest], data }) {
    const zeros = new data.constructor(data.length * slots);
    return new Tensor(type, zeros, [objects, slots, ...rest]);
  }

  function write(memory, found, object, slot) {
    const length = found.data.length / objects;
    const one = found.data.subarray(object * length, (object + 1) * length);
    memory.data.set(one, (object * slots + slot) * length);
  }
}

// A free slot, or that of the oldest frame but the first: with two slots there is none.
function slotFor(numbers) {
  const free = numbers.indexOf(-1, 1);
  return free > 0 ? free : Math.max(0, numbers.indexOf(Math.min(...numbers.slice(2))));
}

function mostProbable(probabilities, pixels) {
  return Uint8Array.from({ length: pixels }, (_, pixel) => {
    let best = pixel;
    for (let at = pixel; at < probabilities.length; at += pixels) {
      if (probabilities[at] > probabilities[best]) best = at;
    }
    return best / pixels;
  });
}
