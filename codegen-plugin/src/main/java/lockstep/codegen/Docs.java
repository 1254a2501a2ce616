package lockstep.codegen;

import com.palantir.javapoet.AnnotationSpec;
import com.palantir.javapoet.CodeBlock;

import lockstep.qapi.model.Definition;
import lockstep.qapi.model.Feature;
import lockstep.qapi.model.Member;
import lockstep.qapi.model.Schema;
import lockstep.qapi.syntax.DocComment;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** Javadoc from documentation comments, and annotations from features. */
final class Docs {
    private static final Pattern LITERAL = Pattern.compile("``([^`]+)``");
    private static final Pattern REFERENCE = Pattern.compile("(?<![A-Za-z0-9])@([A-Za-z0-9_-]+)");

    private final boolean markDeprecated;

    Docs(boolean markDeprecated) {
        this.markDeprecated = markDeprecated;
    }

    private static String escape(String text) {
        String html = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;");
        html = html.replace("*/", "*&#47;").replace("\\u", "&#92;u");
        html = LITERAL.matcher(html).replaceAll("<code>$1</code>");
        html = REFERENCE.matcher(html).replaceAll("<code>$1</code>");
        return html.replace("@", "&#64;");
    }

    private static String paragraphs(String text) {
        StringBuilder html = new StringBuilder();
        for (String paragraph : text.strip().split("\n\\s*\n")) {
            if (!paragraph.isBlank()) {
                html.append(html.length() == 0 ? "" : "\n\n<p>").append(escape(paragraph.strip()));
            }
        }
        return html.toString();
    }

    /** The text of a definition with its other sections, without its members. */
    CodeBlock definition(Definition definition, String fallback) {
        DocComment doc = definition.head().doc();
        StringBuilder html = new StringBuilder();
        if (doc != null) {
            for (DocComment.Section section : doc.sections()) {
                String text = paragraphs(section.text());
                switch (section.kind()) {
                    case PLAIN -> html.append(html.length() == 0 ? "" : "\n\n<p>").append(text);
                    case RETURNS -> html.append("\n\n<p>Returns: ").append(text);
                    case ERRORS -> html.append("\n\n<p>Errors: ").append(text);
                    case SINCE -> html.append("\n\n<p>Since: ").append(text);
                    case FEATURE ->
                            html.append("\n\n<p>Feature <code>")
                                    .append(section.name())
                                    .append("</code>: ")
                                    .append(text);
                    default -> {}
                }
            }
        }
        if (html.length() == 0 || html.charAt(0) == '\n') {
            html.insert(0, escape(fallback));
        }
        return CodeBlock.of("$L\n", html);
    }

    /** The text of one member: from the definition's comment, or from that of a base. */
    String member(List<DocComment> docs, String name) {
        DocComment.Section section = null;
        for (DocComment doc : docs) {
            section = section == null ? doc.find(DocComment.Kind.MEMBER, name) : section;
        }
        String text = section == null ? "" : paragraphs(section.text());
        return text.isEmpty() ? "the <code>" + name + "</code> member" : text;
    }

    /** The comments that document the members of a type: its own and those of its bases. */
    static List<DocComment> chain(Schema schema, Definition definition) {
        List<DocComment> chain = new ArrayList<>();
        Definition at = definition;
        while (at != null) {
            DocComment doc = at.head().doc();
            if (doc != null) {
                chain.add(doc);
            }
            String base = null;
            if (at instanceof Definition.StructType struct) {
                base = struct.base();
            } else if (at instanceof Definition.UnionType union) {
                base = union.base();
            }
            at = base == null ? null : schema.type(base);
        }
        return chain;
    }

    /** Annotations for features. */
    List<AnnotationSpec> features(List<Feature> features, boolean mayDeprecate) {
        List<AnnotationSpec> result = new ArrayList<>();
        AnnotationSpec.Builder named = AnnotationSpec.builder(Support.FEATURES);
        for (Feature feature : features) {
            named.addMember("value", "$S", feature.name());
            if (feature.name().equals("unstable")) {
                result.add(AnnotationSpec.builder(Support.UNSTABLE).build());
            }
            if (deprecated(feature) && mayDeprecate && markDeprecated) {
                result.add(AnnotationSpec.builder(Deprecated.class).build());
            }
        }
        if (!features.isEmpty()) {
            result.add(named.build());
        }
        return result;
    }

    /** Whether anything in the schema is deprecated. */
    static boolean hasDeprecated(Schema schema) {
        return schema.definitions().flatMap(Docs::allFeatures).anyMatch(Docs::deprecated);
    }

    private static boolean deprecated(Feature feature) {
        return feature.name().equals("deprecated");
    }

    private static Stream<Feature> allFeatures(Definition definition) {
        List<Member> members = List.of();
        Stream<Feature> inner = Stream.of();
        if (definition instanceof Definition.EnumType type) {
            inner = type.values().stream().flatMap(v -> v.features().stream());
        } else if (definition instanceof Definition.StructType type) {
            members = type.members();
        } else if (definition instanceof Definition.UnionType type) {
            members = type.baseMembers();
        } else if (definition instanceof Definition.Command command) {
            members = command.arguments().members();
        } else if (definition instanceof Definition.Event event) {
            members = event.arguments().members();
        }
        return Stream.of(
                        definition.head().features().stream(),
                        inner,
                        members.stream().flatMap(m -> m.features().stream()))
                .flatMap(features -> features);
    }
}
