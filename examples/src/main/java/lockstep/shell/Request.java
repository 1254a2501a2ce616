package lockstep.shell;

import lockstep.api.JSONType;
import lockstep.qmp.JsonArray;
import lockstep.qmp.JsonBoolean;
import lockstep.qmp.JsonNull;
import lockstep.qmp.JsonNumber;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonStreamParser;
import lockstep.qmp.JsonString;
import lockstep.qmp.JsonValue;
import lockstep.qmp.KeyvalText;
import lockstep.qmp.NumberText;
import lockstep.qmp.QmpException;

import org.jspecify.annotations.Nullable;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.OptionalLong;

/** Makes requests of words: {@code [exec-oob] NAME KEY=VALUE...}. */
final class Request {
    private final Schema schema;

    Request(Schema schema) {
        this.schema = schema;
    }

    /** The request that the words are, the first of which is the command. */
    JsonObject of(List<String> words) throws UsageException {
        boolean outOfBand = words.size() > 1 && words.getFirst().equals("exec-oob");
        List<String> rest = outOfBand ? words.subList(1, words.size()) : words;
        String command = rest.getFirst();
        if (command.contains("=")) {
            throw new UsageException("a command's name comes before its arguments");
        }
        JsonObject request = new JsonObject().put(outOfBand ? "exec-oob" : "execute", command);
        if (rest.size() > 1) {
            JsonObject tree = tree(rest.subList(1, rest.size()));
            request.put("arguments", typed(tree, schema.arguments(command), command));
        }
        return request;
    }

    /** The arguments as a tree whose leaves are texts. */
    static JsonObject tree(List<String> words) throws UsageException {
        Map<String, String> flat = new LinkedHashMap<>();
        for (String word : words) {
            int equals = word.indexOf('=');
            if (equals < 1) {
                throw new UsageException("'" + word + "' is not KEY=VALUE");
            }
            if (flat.put(word.substring(0, equals), word.substring(equals + 1)) != null) {
                throw new UsageException(
                        "argument '" + word.substring(0, equals) + "' is given twice");
            }
        }
        try {
            return KeyvalText.tree(flat);
        } catch (QmpException e) {
            throw new UsageException(e.description(), e);
        }
    }

    private JsonValue typed(JsonValue value, @Nullable String type, String name)
            throws UsageException {
        switch (value) {
            case JsonObject object -> {
                JsonObject result = new JsonObject();
                for (Map.Entry<String, JsonValue> member : object.members().entrySet()) {
                    String key = member.getKey();
                    String memberType = type == null ? null : schema.member(type, key, object);
                    result.put(key, typed(member.getValue(), memberType, key));
                }
                return result;
            }
            case JsonArray array -> {
                String element = type == null ? null : schema.element(type);
                JsonArray result = new JsonArray();
                for (JsonValue each : array) {
                    result.add(typed(each, element, name));
                }
                return result;
            }
            case JsonString text -> {
                return leaf(text.value(), type, name);
            }
            default -> throw new IllegalArgumentException("no tree of texts: " + value);
        }
    }

    private JsonValue leaf(String text, @Nullable String type, String name) throws UsageException {
        if (type == null) {
            return guess(text);
        }
        JsonValue result = null;
        for (String alternative : schema.alternatives(type)) {
            JsonValue candidate = alternative(text, alternative);
            // Where a text fits several, it is itself last.
            if (candidate != null && (result == null || result instanceof JsonString)) {
                result = candidate;
            }
        }
        if (result == null) {
            throw new UsageException(
                    "the value '" + text + "' of '" + name + "' is not of its type");
        }
        return result;
    }

    private @Nullable JsonValue alternative(String text, String type) {
        if (schema.isEnum(type)) {
            return new JsonString(text);
        }
        JSONType builtin = schema.builtin(type);
        if (builtin == null) {
            return json(text); // an object or a list
        }
        return switch (builtin) {
            case STRING -> new JsonString(text);
            case INT -> integer(text);
            case NUMBER -> number(text);
            case BOOLEAN -> bool(text);
            case NULL -> text.equals("null") ? JsonNull.NULL : null;
            default -> guess(text);
        };
    }

    private static @Nullable JsonValue integer(String text) {
        OptionalLong value = NumberText.signed(text).toOptional();
        if (value.isPresent()) {
            return JsonNumber.of(value.getAsLong());
        }
        value = NumberText.unsigned(text).toOptional();
        value = value.isPresent() ? value : NumberText.size(text).toOptional();
        return value.isPresent() ? JsonNumber.ofUnsigned(value.getAsLong()) : null;
    }

    private static @Nullable JsonValue number(String text) {
        OptionalDouble value = NumberText.real(text);
        return value.isPresent() ? JsonNumber.of(value.getAsDouble()) : null;
    }

    private static @Nullable JsonValue bool(String text) {
        return switch (text) {
            case "true", "on", "yes" -> new JsonBoolean(true);
            case "false", "off", "no" -> new JsonBoolean(false);
            default -> null;
        };
    }

    private static @Nullable JsonValue json(String text) {
        if (!text.startsWith("{") && !text.startsWith("[")) {
            return null;
        }
        try {
            return JsonStreamParser.parse(text);
        } catch (QmpException e) {
            return null;
        }
    }

    /** The value of an argument whose type is not known. */
    private static JsonValue guess(String text) {
        JsonValue json = json(text);
        if (json != null) {
            return json;
        }
        if (text.equals("true") || text.equals("false")) {
            return new JsonBoolean(text.equals("true"));
        }
        JsonValue integer = text.matches("-?[0-9]+") ? integer(text) : null;
        return integer != null ? integer : new JsonString(text);
    }
}
