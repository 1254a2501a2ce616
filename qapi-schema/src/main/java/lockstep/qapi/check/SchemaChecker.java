package lockstep.qapi.check;

import lockstep.qapi.model.Definition;
import lockstep.qapi.model.Feature;
import lockstep.qapi.model.Member;
import lockstep.qapi.model.Schema;
import lockstep.qapi.syntax.DocComment;
import lockstep.qapi.syntax.ErrorLog;
import lockstep.qapi.syntax.Expression;
import lockstep.qapi.syntax.Node;
import lockstep.qapi.syntax.ParsedSchema;
import lockstep.qapi.syntax.SchemaErrorException;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * Checks a parsed schema: each expression by itself, then all definitions together, then their
 * documentation. The order is that of QEMU's generator, so the first error is the one it gives.
 */
public final class SchemaChecker {
    private static final int FEATURE_LIMIT = 64;

    private final ParsedSchema parsed;
    private final ErrorLog log;

    /**
     * Takes a schema and the log of its run; errors of syntax may already be in it.
     *
     * @param parsed the schema as written
     * @param log takes the errors
     */
    public SchemaChecker(ParsedSchema parsed, ErrorLog log) {
        this.parsed = parsed;
        this.log = log;
    }

    /**
     * Checks. The result is meaningful only when the log has no errors.
     *
     * @throws SchemaErrorException when the log ends the run
     */
    public Schema check() {
        Set<String> lost = new HashSet<>(parsed.lost());
        Map<ParsedSchema.Item, Definition> made = new IdentityHashMap<>();
        List<Definition> definitions = new ArrayList<>();
        for (ParsedSchema.Item item : parsed.items()) {
            if (item instanceof Expression expression) {
                Definition definition =
                        new ExpressionChecker(parsed.pragmas(), log, expression).check();
                if (definition == null) {
                    lost.addAll(possibleNames(expression));
                } else {
                    made.put(expression, definition);
                }
            }
        }
        DefinitionTable table = new DefinitionTable(log, lost, parsed.complete());
        for (ParsedSchema.Item item : parsed.items()) {
            Definition definition = made.get(item);
            if (definition != null && table.define(definition)) {
                definitions.add(definition);
            }
        }
        TypeChecker types = new TypeChecker(table, parsed.pragmas(), log);
        DocChecker docs = new DocChecker(parsed.pragmas(), log);
        for (Definition definition : definitions) {
            types.check(definition);
            docs.connect(definition);
        }
        docs.finish();
        limitFeatures(definitions);
        return new Schema(modules(made), parsed.docs());
    }

    /** The names that a faulty expression may have meant to define. */
    private static List<String> possibleNames(Expression expression) {
        List<String> names = new ArrayList<>();
        DocComment doc = expression.doc();
        if (doc != null && doc.symbol() != null) {
            names.add(doc.symbol());
        }
        for (Node node : expression.members().values()) {
            if (node instanceof Node.Str string) {
                names.add(string.value());
            }
        }
        return names;
    }

    private void limitFeatures(Iterable<Definition> definitions) {
        Set<String> names = new HashSet<>(Set.of("deprecated", "unstable"));
        for (Definition definition : definitions) {
            for (Feature feature : features(definition)) {
                if (names.add(feature.name()) && names.size() == FEATURE_LIMIT + 1) {
                    log.report(
                            definition.head().info(),
                            "Maximum of " + FEATURE_LIMIT + " schema features is permitted");
                }
            }
        }
    }

    /** The features of a definition and of its parts. */
    private static List<Feature> features(Definition definition) {
        List<Feature> all = new ArrayList<>(definition.head().features());
        if (definition instanceof Definition.EnumType type) {
            type.values().forEach(v -> all.addAll(v.features()));
        }
        for (Member member : definition.ownMembers()) {
            all.addAll(member.features());
        }
        return all;
    }

    private List<Schema.Module> modules(Map<ParsedSchema.Item, Definition> made) {
        Map<String, List<Schema.Entry>> entries = new LinkedHashMap<>();
        parsed.modules().keySet().forEach(file -> entries.put(file, new ArrayList<>()));
        for (ParsedSchema.Item item : parsed.items()) {
            List<Schema.Entry> module = Objects.requireNonNull(entries.get(item.info().file()));
            Definition definition = made.get(item);
            if (item instanceof ParsedSchema.Include include) {
                module.add(new Schema.Include(moduleName(include.file())));
            } else if (definition != null) {
                module.add(definition);
            }
        }
        List<Schema.Module> modules = new ArrayList<>();
        parsed.modules()
                .forEach(
                        (file, path) ->
                                modules.add(
                                        new Schema.Module(
                                                moduleName(file),
                                                path,
                                                List.copyOf(
                                                        entries.getOrDefault(file, List.of())))));
        return modules;
    }

    /** Path relative to the main file's directory. */
    private String moduleName(String file) {
        if (file.startsWith("./")) {
            // So does QEMU's generator name them.
            return file;
        }
        Path main = parsed.modules().values().iterator().next();
        Path directory = main.toAbsolutePath().normalize().getParent();
        Path target = Path.of(file).toAbsolutePath().normalize();
        return directory == null ? file : directory.relativize(target).toString();
    }
}
