package lockstep.shell;

import lockstep.api.Introspection;
import lockstep.api.JSONType;
import lockstep.api.SchemaInfo;
import lockstep.api.SchemaInfoAlternateMember;
import lockstep.api.SchemaInfoEnumMember;
import lockstep.api.SchemaInfoObject;
import lockstep.api.SchemaInfoObjectMember;
import lockstep.api.SchemaInfoObjectVariant;
import lockstep.qmp.InputVisitor;
import lockstep.qmp.JsonArray;
import lockstep.qmp.JsonInputVisitor;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonString;
import lockstep.qmp.JsonValue;
import lockstep.qmp.QmpException;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** What a server's schema says of commands and their arguments. */
final class Schema {
    private final Map<String, SchemaInfo> entries = new HashMap<>();
    private final Map<String, SchemaInfo.Command> commands = new TreeMap<>();

    /** Reads what query-qmp-schema returns. */
    Schema(JsonValue schemaInfo) throws QmpException {
        InputVisitor visitor = JsonInputVisitor.lenient(schemaInfo);
        for (SchemaInfo entry : visitor.list(null, SchemaInfo::read)) {
            entries.put(entry.name(), entry);
            if (entry instanceof SchemaInfo.Command command) {
                commands.put(command.name(), command);
            }
        }
    }

    /** Our own, for servers that do not tell theirs. */
    static Schema own() {
        try {
            return new Schema(Introspection.schemaInfo());
        } catch (QmpException e) {
            throw new IllegalStateException("The schema of this program is broken.", e);
        }
    }

    /** The names of all commands in alphabetic order. */
    Collection<String> commands() {
        return commands.keySet();
    }

    /** The type of a command's arguments, or null for a command that is not known. */
    @Nullable String arguments(String command) {
        SchemaInfo.Command entry = commands.get(command);
        return entry == null ? null : entry.data().argType();
    }

    /** The members of an object type: those that all have, and those of the branch that is chosen. */
    List<SchemaInfoObjectMember> members(String type, JsonObject given) {
        List<SchemaInfoObjectMember> members = new ArrayList<>();
        if (object(type) instanceof SchemaInfoObject object) {
            members.addAll(object.members());
            String tag = object.tag();
            List<SchemaInfoObjectVariant> variants = object.variants();
            if (tag != null && variants != null && given.get(tag) instanceof JsonString chosen) {
                for (SchemaInfoObjectVariant variant : variants) {
                    if (variant.case_().equals(chosen.value())) {
                        members.addAll(members(variant.type(), given));
                    }
                }
            }
        }
        return members;
    }

    /** The type of a member, or null when there is none of that name. */
    @Nullable String member(String type, String name, JsonObject given) {
        for (SchemaInfoObjectMember member : members(type, given)) {
            if (member.name().equals(name)) {
                return member.type();
            }
        }
        return null;
    }

    private @Nullable SchemaInfoObject object(String type) {
        return switch (entries.get(type)) {
            case SchemaInfo.ObjectValue object -> object.data();
            case SchemaInfo.Alternate alternate -> {
                for (SchemaInfoAlternateMember member : alternate.data().members()) {
                    SchemaInfoObject object = object(member.type());
                    if (object != null) {
                        yield object;
                    }
                }
                yield null;
            }
            case null, default -> null;
        };
    }

    /** The type of an array's elements, or null for what is no array. */
    @Nullable String element(String type) {
        return switch (entries.get(type)) {
            case SchemaInfo.Array array -> array.data().elementType();
            case SchemaInfo.Alternate alternate -> {
                for (SchemaInfoAlternateMember member : alternate.data().members()) {
                    String element = element(member.type());
                    if (element != null) {
                        yield element;
                    }
                }
                yield null;
            }
            case null, default -> null;
        };
    }

    /** The types that a value may have: one, or those of an alternate. */
    List<String> alternatives(String type) {
        return entries.get(type) instanceof SchemaInfo.Alternate alternate
                ? alternate.data().members().stream().map(SchemaInfoAlternateMember::type).toList()
                : List.of(type);
    }

    /** The JSON type of a built-in type, or null for others. */
    @Nullable JSONType builtin(String type) {
        return entries.get(type) instanceof SchemaInfo.Builtin builtin
                ? builtin.data().jsonType()
                : null;
    }

    boolean isEnum(String type) {
        return entries.get(type) instanceof SchemaInfo.EnumValue;
    }

    /** The texts that a value of a type may have; empty where they cannot be listed. */
    List<String> values(String type) {
        List<String> values = new ArrayList<>();
        for (String alternative : alternatives(type)) {
            if (entries.get(alternative) instanceof SchemaInfo.EnumValue enumeration) {
                enumeration.data().members().stream()
                        .map(SchemaInfoEnumMember::name)
                        .forEach(values::add);
            } else if (builtin(alternative) == JSONType.BOOLEAN) {
                values.addAll(List.of("true", "false"));
            }
        }
        return values;
    }

    /** The arguments of a command, one per line. */
    String describe(String command) {
        String type = arguments(command);
        if (type == null) {
            return "There is no command '" + command + "'.\n";
        }
        StringBuilder text = new StringBuilder(command).append('\n');
        describe(type, text);
        return text.toString();
    }

    private void describe(String type, StringBuilder text) {
        SchemaInfoObject object = object(type);
        if (object == null) {
            return;
        }
        for (SchemaInfoObjectMember member : object.members()) {
            text.append("  ").append(member.name()).append('=').append(kind(member.type()));
            text.append(member.default_() != null ? "  (optional)" : "").append('\n');
        }
        if (object.variants() != null) {
            text.append("  and more by the value of ").append(object.tag()).append('\n');
        }
    }

    private String kind(String type) {
        List<String> values = values(type);
        String element = element(type);
        if (!values.isEmpty()) {
            return String.join("|", values);
        }
        if (element != null) {
            return "[" + kind(element) + "...]";
        }
        return object(type) != null ? "{...}" : type;
    }

    /** The schema of a reply, for servers that hide types this program needs, or null. */
    static @Nullable Schema of(JsonValue reply) {
        try {
            return reply instanceof JsonArray ? new Schema(reply) : null;
        } catch (QmpException e) {
            return null;
        }
    }
}
