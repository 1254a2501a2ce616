package lockstep.x86;

/** The opcode maps. Empty places are no instructions. */
final class Forms {
    /** Opcodes of one byte. */
    static final Decoder.Form[] ONE = new Decoder.Form[256];

    /** Behind 0x0f. */
    static final Decoder.Form[] TWO = new Decoder.Form[256];

    /** Behind 0x0f 0x38. */
    static final Decoder.Form[] THREE_38 = new Decoder.Form[256];

    /** Behind 0x0f 0x3a. */
    static final Decoder.Form[] THREE_3A = new Decoder.Form[256];

    static {
        ArithmeticForms.install(ONE, TWO);
        MoveForms.install(ONE, TWO, THREE_38);
        StackForms.install(ONE);
        FlagForms.install(ONE);
        PortForms.install(ONE);
        BitForms.install(ONE, TWO, THREE_38);
        BranchForms.install(ONE, TWO);
        StringForms.install(ONE);
        SystemForms.install(ONE, TWO);
        FpuForms.install(ONE);
        SseForms.install(TWO, THREE_38, THREE_3A);
    }

    private Forms() {}

    /** Chooses by operand size. */
    static Op.Action pick(Op.Action[] actions, Decoder d) {
        return actions[d.sizeIndex()];
    }
}
