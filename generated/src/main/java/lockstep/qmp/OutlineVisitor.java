package lockstep.qmp;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/**
 * Finds out what a struct's reader would read, by answering its questions: a first reading with no
 * member present gives the names, and then one reading for each optional member gives its type.
 */
final class OutlineVisitor extends InputVisitor {
    /** Ends a reading that has told what was asked. */
    private static final class Told extends QmpException {
        private static final long serialVersionUID = 1L;

        Told() {
            super("an outline has no values");
        }
    }

    private final Map<String, MemberOutline> members = new LinkedHashMap<>();
    private final String branch;
    private @Nullable String wanted;
    private boolean inside;

    private OutlineVisitor(String branch) {
        super(new JsonObject(), false);
        this.branch = branch;
    }

    static List<MemberOutline> outline(ValueReader<?> reader, String branch) {
        OutlineVisitor visitor = new OutlineVisitor(branch);
        visitor.read(reader);
        for (MemberOutline member : List.copyOf(visitor.members.values())) {
            if (member.optional()) {
                visitor.wanted = member.name();
                visitor.read(reader);
            }
        }
        return new ArrayList<>(visitor.members.values());
    }

    private void read(ValueReader<?> reader) {
        inside = false;
        try {
            reader.read(this, null);
        } catch (QmpException e) {
            // Told: the member that this reading was for has been seen.
        }
    }

    private void tell(@Nullable String name, String type) throws QmpException {
        if (name == null) {
            return;
        }
        if (name.equals(wanted)) {
            members.put(name, new MemberOutline(name, type, true));
            throw new Told();
        }
        members.putIfAbsent(name, new MemberOutline(name, type, false));
    }

    @Override
    public boolean has(String name) {
        members.putIfAbsent(name, new MemberOutline(name, "any", true));
        return name.equals(wanted);
    }

    @Override
    public void startStruct(@Nullable String name) throws QmpException {
        if (inside) {
            tell(name, "struct");
            throw new Told(); // What is inside a required one is no business of this outline.
        }
        inside = true;
    }

    @Override
    public void endStruct() {}

    @Override
    public JsonObject object() {
        return new JsonObject();
    }

    @Override
    public <T> List<T> list(@Nullable String name, ValueReader<T> reader) throws QmpException {
        tell(name, "list");
        return List.of();
    }

    @Override
    public JsonValue.Kind kind(@Nullable String name) throws QmpException {
        tell(name, "alternate");
        throw new Told();
    }

    @Override
    public String string(@Nullable String name) throws QmpException {
        tell(name, "str");
        return "";
    }

    @Override
    public <E> E enumeration(
            @Nullable String name, Function<String, @Nullable E> find, E unrecognizedValue)
            throws QmpException {
        tell(
                name,
                unrecognizedValue instanceof Enum<?> e
                        ? e.getDeclaringClass().getSimpleName()
                        : "enum");
        // Where a value must be given it may be a union's discriminator.
        E chosen = find.apply(branch);
        return chosen == null ? unrecognizedValue : chosen;
    }

    @Override
    public boolean bool(@Nullable String name) throws QmpException {
        tell(name, "bool");
        return false;
    }

    @Override
    public double number(@Nullable String name) throws QmpException {
        tell(name, "number");
        return 0;
    }

    private long integer(@Nullable String name, String type) throws QmpException {
        tell(name, type);
        return 0;
    }

    @Override
    public long int64(@Nullable String name) throws QmpException {
        return integer(name, "int");
    }

    @Override
    public long uint64(@Nullable String name) throws QmpException {
        return integer(name, "uint64");
    }

    @Override
    public long size(@Nullable String name) throws QmpException {
        return integer(name, "size");
    }

    @Override
    public int int8(@Nullable String name) throws QmpException {
        return (int) integer(name, "int8");
    }

    @Override
    public int int16(@Nullable String name) throws QmpException {
        return (int) integer(name, "int16");
    }

    @Override
    public int int32(@Nullable String name) throws QmpException {
        return (int) integer(name, "int32");
    }

    @Override
    public int uint8(@Nullable String name) throws QmpException {
        return (int) integer(name, "uint8");
    }

    @Override
    public int uint16(@Nullable String name) throws QmpException {
        return (int) integer(name, "uint16");
    }

    @Override
    public long uint32(@Nullable String name) throws QmpException {
        return integer(name, "uint32");
    }

    @Override
    public JsonNull nul(@Nullable String name) throws QmpException {
        tell(name, "null");
        return JsonNull.NULL;
    }

    @Override
    public JsonValue any(@Nullable String name) throws QmpException {
        tell(name, "any");
        return JsonNull.NULL;
    }

    @Override
    String indexText(int index) {
        throw new IllegalStateException("an outline has no lists");
    }

    @Override
    String unexpected(String path, JsonValue value) {
        throw new IllegalStateException("an outline has no values");
    }

    @Override
    <T> @Nullable List<T> single(@Nullable String name, JsonValue value, ValueReader<T> reader) {
        return null;
    }
}
