package lockstep.shell;

import lockstep.api.SchemaInfoObjectMember;
import lockstep.qmp.JsonArray;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonValue;

import org.jline.reader.Candidate;
import org.jline.reader.Completer;
import org.jline.reader.LineReader;
import org.jline.reader.ParsedLine;
import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;

/** Completes names of commands and arguments, and values that can be listed, out of the schema. */
final class SchemaCompleter implements Completer {
    private final Session session;

    SchemaCompleter(Session session) {
        this.session = session;
    }

    @Override
    public void complete(LineReader reader, ParsedLine line, List<Candidate> candidates) {
        if (session.options().hmp()) {
            return;
        }
        String word = line.word().substring(0, line.wordCursor());
        List<String> before = line.words().subList(0, line.wordIndex());
        for (String text : complete(session.schema().join(), before, word)) {
            // After a key comes its value, after a container's key a member's.
            boolean whole = !text.endsWith("=") && !text.endsWith(".");
            candidates.add(new Candidate(text, text, null, null, null, null, whole));
        }
    }

    /** What the word under the cursor may become, after the words before it. */
    static List<String> complete(Schema schema, List<String> before, String word) {
        List<String> result = new ArrayList<>();
        List<String> words = before;
        if (!words.isEmpty() && List.of("exec-oob", "help").contains(words.getFirst())) {
            words = words.subList(1, words.size());
        }
        if (words.isEmpty()) {
            result.addAll(schema.commands());
            if (before.isEmpty()) {
                result.addAll(List.of("exec-oob", "exit", "help", "hmp"));
            }
            return result;
        }
        String type = schema.arguments(words.getFirst());
        if (type == null || before.getFirst().equals("help")) {
            return result;
        }
        JsonObject given;
        try {
            given = Request.tree(words.subList(1, words.size()));
        } catch (UsageException e) {
            given = new JsonObject();
        }
        argument(schema, type, given, word, result);
        return result;
    }

    /** Walks along the dots of the word, and offers what may come at its end. */
    private static void argument(
            Schema schema, String type, JsonObject given, String word, List<String> result) {
        int equals = word.indexOf('=');
        String key = equals < 0 ? word : word.substring(0, equals);
        int start = 0;
        String at = type;
        JsonValue tree = given;
        while (true) {
            int dot = key.indexOf('.', start);
            if (dot < 0) {
                break;
            }
            String part = key.substring(start, dot);
            String element = schema.element(at);
            boolean index = element != null && part.chars().allMatch(Character::isDigit);
            String inner = index ? element : schema.member(at, part, object(tree));
            if (inner == null) {
                return;
            }
            tree = child(tree, part);
            at = inner;
            start = dot + 1;
        }
        String prefix = key.substring(0, start);
        if (equals >= 0) {
            String last = schema.member(at, key.substring(start), object(tree));
            for (String value : last == null ? List.<String>of() : schema.values(last)) {
                result.add(key + "=" + value);
            }
            return;
        }
        if (schema.element(at) != null && schema.members(at, object(tree)).isEmpty()) {
            int next = tree instanceof JsonArray array ? array.size() : 0;
            result.add(prefix + next + (isContainer(schema, schema.element(at)) ? "." : "="));
        }
        for (SchemaInfoObjectMember member : schema.members(at, object(tree))) {
            if (!object(tree).has(member.name()) || isContainer(schema, member.type())) {
                if (isContainer(schema, member.type())) {
                    result.add(prefix + member.name() + ".");
                }
                if (!isContainer(schema, member.type())
                        || schema.alternatives(member.type()).size() > 1) {
                    result.add(prefix + member.name() + "=");
                }
            }
        }
    }

    private static boolean isContainer(Schema schema, @Nullable String type) {
        return type != null
                && (schema.element(type) != null
                        || !schema.members(type, new JsonObject()).isEmpty());
    }

    private static JsonObject object(@Nullable JsonValue tree) {
        return tree instanceof JsonObject object ? object : new JsonObject();
    }

    private static JsonValue child(JsonValue tree, String part) {
        if (tree instanceof JsonArray array) {
            int index = Integer.parseInt(part);
            return index < array.size() ? array.get(index) : new JsonObject();
        }
        JsonValue child = object(tree).get(part);
        return child == null ? new JsonObject() : child;
    }
}
