package lockstep.qmp;

import org.jspecify.annotations.Nullable;

/** The object without members: the arguments of a command that takes none, and its result. */
public enum Empty {
    /** The only one. */
    EMPTY;

    /** Reads an object that must not have members. */
    public static Empty read(InputVisitor visitor, @Nullable String name) throws QmpException {
        visitor.startStruct(name);
        visitor.endStruct();
        return EMPTY;
    }

    /** Writes an object without members. */
    public void write(OutputVisitor visitor, @Nullable String name) {
        visitor.startStruct(name);
        visitor.endStruct();
    }
}
