/** The processor: decoding, execution, paging, segmentation, interrupts, floating point. */
@org.jspecify.annotations.NullMarked
package lockstep.x86;
