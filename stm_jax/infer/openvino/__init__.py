"""The network run by OpenVINO, on processors whose instructions for few bits XLA leaves."""

from stm_jax.infer.openvino.network import OpenVino as OpenVino
