package lockstep.codegen;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Random;
import java.util.stream.IntStream;

/**
 * A schema as large as QEMU's own of version 10.2, made up from a seed: 244 commands, 57 events, 182
 * enumerations, 479 structs, 43 unions and 6 alternates in 45 documented files, with about as many
 * members, values and branches.
 */
final class LargeSchema {
    static final int COMMANDS = 244;
    static final int EVENTS = 57;
    static final int ENUMS = 182;
    static final int STRUCTS = 479;
    static final int UNIONS = 43;
    static final int ALTERNATES = 6;

    /** The other structs are branches of unions. */
    private static final int MEMBER_STRUCTS = STRUCTS - 2 * UNIONS;

    private static final int FILES = 45;
    private static final int VALUES = 6;
    private static final List<String> BUILTINS =
            List.of("int", "str", "str", "bool", "size", "uint64", "number", "int32");
    private static final List<String> WORDS =
            List.of(
                    "node", "job", "speed", "target", "mode", "size", "offset", "device", "path",
                    "queue", "limit", "state", "address", "format", "policy", "window");

    private final Random random = new Random(10_2_2);
    private final StringBuilder[] files = new StringBuilder[FILES];

    private LargeSchema() {
        for (int i = 0; i < FILES; i++) {
            files[i] = new StringBuilder();
        }
    }

    /** Writes the schema into a directory and gives its main file. */
    static Path write(Path directory) throws IOException {
        LargeSchema schema = new LargeSchema();
        schema.enums();
        schema.structs();
        schema.unions();
        schema.alternates();
        schema.commands();
        schema.events();
        StringBuilder main = new StringBuilder("{ 'pragma': { 'doc-required': true } }\n");
        for (int i = 0; i < FILES; i++) {
            Files.writeString(directory.resolve("part" + i + ".json"), schema.files[i]);
            main.append("{ 'include': 'part").append(i).append(".json' }\n");
        }
        return Files.writeString(directory.resolve("large.json"), main);
    }

    private String word(int i) {
        String word = WORDS.get(i % WORDS.size());
        return i < WORDS.size() ? word : word + "-" + i / WORDS.size();
    }

    private static String enumName(int i) {
        return "Kind" + i;
    }

    private static String structName(int i) {
        return "Struct" + i;
    }

    private static String unionName(int i) {
        return "Choice" + i;
    }

    /** A definition with its comment. */
    private void define(int at, String name, List<String> documented, String expression) {
        StringBuilder text = files[at % FILES];
        text.append("##\n# @").append(name).append(":\n#\n# Made up, but as long as what people");
        text.append(" write about such things.\n# A second line says a little more about it.\n#\n");
        for (String member : documented) {
            text.append("# @").append(member).append(": what it is for, in a line or two of\n");
            text.append("#     text that goes on here (default: none)\n#\n");
        }
        text.append("# Since: 1.0\n##\n").append(expression).append("\n\n");
    }

    private void enums() {
        for (int i = 0; i < ENUMS; i++) {
            List<String> values = words(VALUES + i % 2);
            define(
                    i,
                    enumName(i),
                    values,
                    "{ 'enum': '" + enumName(i) + "', 'data': " + list(values) + " }");
        }
    }

    private List<String> words(int count) {
        return IntStream.range(0, count).mapToObj(this::word).toList();
    }

    private static String list(List<String> names) {
        return "[ '" + String.join("', '", names) + "' ]";
    }

    /** Types of members come from the definitions before, so that nothing contains itself. */
    private String type(int before) {
        int choice = random.nextInt(10);
        if (choice < 6 || before == 0) {
            return "'" + BUILTINS.get(random.nextInt(BUILTINS.size())) + "'";
        }
        String named =
                choice == 6 ? structName(random.nextInt(before)) : enumName(random.nextInt(ENUMS));
        return choice == 9 ? "[ '" + named + "' ]" : "'" + named + "'";
    }

    private String members(List<String> names, int before) {
        StringBuilder text = new StringBuilder("{ ");
        String separator = "";
        for (String name : names) {
            text.append(separator).append('\'').append(random.nextBoolean() ? "*" : "");
            text.append(name).append("': ").append(type(before));
            separator = ", ";
        }
        return text.append(" }").toString();
    }

    private void structs() {
        for (int i = 0; i < MEMBER_STRUCTS; i++) {
            List<String> names = words(2 + i % 5);
            String feature = i % 40 == 7 ? ", 'features': [ 'seldom' ]" : "";
            StringBuilder text = new StringBuilder("{ 'struct': '" + structName(i) + "', 'data': ");
            text.append(members(names, i)).append(feature).append(" }");
            if (feature.isEmpty()) {
                define(i, structName(i), names, text.toString());
            } else {
                defineWithFeature(i, structName(i), names, text.toString());
            }
        }
    }

    private void defineWithFeature(int at, String name, List<String> members, String text) {
        StringBuilder before = files[at % FILES];
        int start = before.length();
        define(at, name, members, text);
        int since = before.indexOf("# Since", start);
        before.insert(since, "# Features:\n#\n# @seldom: Seldom there.\n#\n");
    }

    private void unions() {
        for (int i = 0; i < UNIONS; i++) {
            String kind = enumName(i);
            StringBuilder branches = new StringBuilder();
            for (int b = 0; b < VALUES; b++) {
                // Structs whose members do not meet those of the base.
                branches.append(b == 0 ? "" : ", ").append('\'').append(word(b)).append("': '");
                branches.append("Branch").append(i).append('x').append(b % 2).append('\'');
            }
            for (int b = 0; b < 2; b++) {
                define(
                        i,
                        "Branch" + i + "x" + b,
                        List.of("only"),
                        "{ 'struct': 'Branch" + i + "x" + b + "', 'data': { 'only': 'str' } }");
            }
            define(
                    i,
                    unionName(i),
                    List.of("kind", "common"),
                    "{ 'union': '"
                            + unionName(i)
                            + "', 'base': { 'kind': '"
                            + kind
                            + "', '*common': 'int' }, 'discriminator': 'kind', 'data': { "
                            + branches
                            + " } }");
        }
    }

    private void alternates() {
        for (int i = 0; i < ALTERNATES; i++) {
            define(
                    i,
                    "Either" + i,
                    List.of("name", "definition"),
                    "{ 'alternate': 'Either"
                            + i
                            + "', 'data': { 'name': 'str', 'definition': '"
                            + structName(i)
                            + "' } }");
        }
    }

    private void commands() {
        for (int i = 0; i < COMMANDS; i++) {
            String name = word(i % 16) + "-do-" + i;
            StringBuilder text = new StringBuilder("{ 'command': '" + name + "'");
            List<String> names = List.of();
            if (i % 20 == 3) {
                text.append(", 'data': '").append(unionName(i % UNIONS)).append("', 'boxed': true");
            } else if (i % 3 != 0) {
                names = words(1 + i % 5);
                text.append(", 'data': ").append(members(names, MEMBER_STRUCTS));
            }
            String returns = structName(i);
            if (i % 5 == 1) {
                text.append(", 'returns': '").append(returns).append('\'');
            } else if (i % 5 == 2) {
                text.append(", 'returns': [ '").append(returns).append("' ]");
            }
            text.append(" }");
            define(i, name, names, text.toString());
            if (i % 5 == 1 || i % 5 == 2) {
                StringBuilder file = files[i % FILES];
                int since = file.lastIndexOf("# Since");
                file.insert(since, "# Returns: what was asked for\n#\n");
            }
        }
    }

    private void events() {
        for (int i = 0; i < EVENTS; i++) {
            String name = (word(i % 16) + "_happened_" + i).toUpperCase(Locale.ROOT);
            List<String> names = words(i % 4);
            String data = names.isEmpty() ? "" : ", 'data': " + members(names, MEMBER_STRUCTS);
            define(i, name, names, "{ 'event': '" + name + "'" + data + " }");
        }
    }
}
