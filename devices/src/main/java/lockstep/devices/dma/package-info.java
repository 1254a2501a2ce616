/**
 * The two DMA controllers of the ISA bus: Intel 8237A (order number 231466-005). Section spoken: {@code
 * dma} v1, instances 0 (8-bit) and 1 (16-bit). Registers only: no device on this board transfers by DMA.
 */
package lockstep.devices.dma;
