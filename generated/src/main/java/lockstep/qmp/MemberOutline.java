package lockstep.qmp;

import java.util.List;

/**
 * A member of a generated struct, for answers that describe what may be given, such as
 * query-command-line-options.
 *
 * @param name the wire name
 * @param type {@code str}, {@code bool}, {@code number}, {@code size}, {@code null}, {@code any}, an
 *     integer such as {@code uint32}, the name of an enumeration, {@code list}, {@code struct} or {@code
 *     alternate}
 * @param optional whether it may be left out
 */
public record MemberOutline(String name, String type, boolean optional) {
    /**
     * The members of a struct, those of its bases first. Of a union only the common members.
     *
     * @param reader the struct's {@code read} method
     */
    public static List<MemberOutline> of(ValueReader<?> reader) {
        return OutlineVisitor.outline(reader, "");
    }

    /**
     * The members of a union, the common ones first and then those of one branch.
     *
     * @param reader the union's {@code read} method
     * @param branch the value of the discriminator; an unknown one has no members of its own
     */
    public static List<MemberOutline> of(ValueReader<?> reader, String branch) {
        return OutlineVisitor.outline(reader, branch);
    }
}
