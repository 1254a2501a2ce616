package lockstep.qapi.model;

import lockstep.qapi.syntax.DocComment;
import lockstep.qapi.syntax.SourceInfo;

import org.jspecify.annotations.Nullable;

import java.util.List;

/** A definition of a schema. */
public sealed interface Definition extends Schema.Entry {

    /** Name, place, condition, features and documentation, which every definition has. */
    Head head();

    /** Its name. */
    default String name() {
        return head().name();
    }

    /** The keyword it was defined with. */
    String meta();

    /** The struct whose members come first, or null. */
    default @Nullable String base() {
        return null;
    }

    /** The members given in the definition itself: of a struct, of a union's base, or arguments. */
    default List<Member> ownMembers() {
        return List.of();
    }

    /**
     * What all definitions share.
     *
     * @param name its name
     * @param info where it is defined
     * @param condition when it is there
     * @param features its features
     * @param doc its documentation, or null
     */
    record Head(
            String name,
            SourceInfo info,
            Condition condition,
            List<Feature> features,
            @Nullable DocComment doc) {}

    /** A definition that can be the type of a member. */
    sealed interface Type extends Definition {}

    /**
     * An enumeration.
     *
     * @param prefix prefix of its C constants, or null
     */
    record EnumType(Head head, List<EnumValue> values, @Nullable String prefix) implements Type {
        @Override
        public String meta() {
            return "enum";
        }
    }

    /**
     * A struct.
     *
     * @param base struct whose members come first, or null
     * @param members its own members
     */
    record StructType(Head head, @Override @Nullable String base, List<Member> members)
            implements Type {
        @Override
        public List<Member> ownMembers() {
            return members;
        }

        @Override
        public String meta() {
            return "struct";
        }
    }

    /**
     * A flat union.
     *
     * @param base struct of the common members, or null when they are given inline
     * @param baseMembers common members given inline
     * @param discriminator the common member that selects the branch
     * @param branches branches that have a type; other values of the discriminator have no members
     */
    record UnionType(
            Head head,
            @Override @Nullable String base,
            List<Member> baseMembers,
            String discriminator,
            List<Branch> branches)
            implements Type {
        @Override
        public List<Member> ownMembers() {
            return baseMembers;
        }

        @Override
        public String meta() {
            return "union";
        }
    }

    /** A choice by JSON type. */
    record AlternateType(Head head, List<Branch> branches) implements Type {
        @Override
        public String meta() {
            return "alternate";
        }
    }

    /**
     * Arguments of a command or data of an event.
     *
     * @param type a named type, or null when given inline
     * @param members the inline members
     * @param boxed whether the type is passed as a whole (always named)
     */
    record Arguments(@Nullable String type, List<Member> members, boolean boxed) {
        /** Whether there are none. */
        public boolean isEmpty() {
            return type == null && members.isEmpty();
        }
    }

    /**
     * A command.
     *
     * @param arguments its arguments
     * @param returns type of its result, or null
     * @param generated false when arguments and result are untyped
     * @param successResponse false when success gives no reply
     * @param allowOob whether it may run out of band
     * @param allowPreconfig whether it may run before the machine is made
     * @param coroutine whether it may yield
     */
    record Command(
            Head head,
            Arguments arguments,
            @Nullable TypeRef returns,
            boolean generated,
            boolean successResponse,
            boolean allowOob,
            boolean allowPreconfig,
            boolean coroutine)
            implements Definition {
        @Override
        public List<Member> ownMembers() {
            return arguments.members();
        }

        @Override
        public String meta() {
            return "command";
        }
    }

    /** An event. */
    record Event(Head head, Arguments arguments) implements Definition {
        @Override
        public List<Member> ownMembers() {
            return arguments.members();
        }

        @Override
        public String meta() {
            return "event";
        }
    }
}
