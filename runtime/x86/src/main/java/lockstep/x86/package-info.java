/**
 * The processor: decoding, execution, paging, segmentation, interrupts, floating point.
 *
 * <p>To read: {@link lockstep.x86.Cpu} (registers, flags, memory), {@link lockstep.x86.Op} and {@link
 * lockstep.x86.Decoder} (what an instruction becomes), the {@code Forms} of one kind of instructions, {@link
 * lockstep.x86.Processor} (what runs them). Then the second tier: {@link lockstep.x86.CodeCache} chooses blocks, {@link
 * lockstep.x86.Translator} makes classes of them, {@link lockstep.x86.TraceWriter}, {@link lockstep.x86.FlagWriter} and
 * {@link lockstep.x86.Templates} write their code, which calls {@link lockstep.x86.Trace}.
 */
@org.jspecify.annotations.NullMarked
package lockstep.x86;
