package lockstep.runtime.object;

import lockstep.api.Documentation;
import lockstep.qmp.InputVisitor;
import lockstep.qmp.JsonInputVisitor;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonOutputVisitor;
import lockstep.qmp.KeyvalInputVisitor;
import lockstep.qmp.MemberOutline;
import lockstep.qmp.QmpException;
import lockstep.qmp.ValueReader;
import lockstep.qmp.ValueWriter;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.Map;

/**
 * A generated record as the description of something's properties: the schema says what there is, and {@code usual}
 * what it is when nobody says. Immutable.
 *
 * @param reader the record's {@code read} method
 * @param writer its {@code write} method
 * @param usual the values of what is not said; what is null in it has none
 * @param <O> the record
 */
public record RecordType<O extends Record>(ValueReader<O> reader, ValueWriter<O> writer, O usual) {
    /** The members, those of bases first. */
    public List<MemberOutline> members() {
        return MemberOutline.of(reader);
    }

    /** Whether there is a member of that name. */
    public boolean has(String member) {
        return members().stream().anyMatch(m -> m.name().equals(member));
    }

    /** The schema's text on each member. */
    public Map<String, String> documentation() {
        return Documentation.of(usual.getClass());
    }

    /** A record as JSON; members without a value are left out. */
    public JsonObject toJson(O value) {
        return (JsonObject) JsonOutputVisitor.toJson(value, writer);
    }

    /** Reads members: texts in a style, or typed JSON without one. */
    public O read(JsonObject given, KeyvalInputVisitor.@Nullable Style style) throws QmpException {
        InputVisitor visitor =
                style == null ? new JsonInputVisitor(given) : new KeyvalInputVisitor(given, style);
        return reader.read(visitor, null);
    }

    /** A record with the usual value of what it leaves out. */
    public O complete(O given) {
        JsonObject all = toJson(usual);
        lay(toJson(given), all);
        return known(all);
    }

    /** The type with the usual values of the record that its own specialises, where it has none of its own. */
    public <B extends Record> RecordType<O> over(B base, ValueWriter<B> baseWriter) {
        JsonObject all = (JsonObject) JsonOutputVisitor.toJson(base, baseWriter);
        lay(toJson(usual), all);
        return new RecordType<>(reader, writer, known(all));
    }

    /** Puts members in the place of others. */
    public static void lay(JsonObject over, JsonObject under) {
        over.inWireOrder().forEach(m -> under.put(m.getKey(), m.getValue()));
    }

    private O known(JsonObject all) {
        try {
            return read(all, null);
        } catch (QmpException e) {
            throw new IllegalArgumentException(
                    usual.getClass().getSimpleName() + ": " + e.description(), e);
        }
    }
}
