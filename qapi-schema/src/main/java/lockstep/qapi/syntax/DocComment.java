package lockstep.qapi.syntax;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.List;

/** A documentation comment: free-form, or for one definition. */
public final class DocComment {
    /** Kinds of sections. */
    public enum Kind {
        /** Text without a tag. */
        PLAIN,
        /** {@code @name:} of a member, argument or enum value. */
        MEMBER,
        /** {@code @name:} under {@code Features:}. */
        FEATURE,
        /** {@code Returns:}. */
        RETURNS,
        /** {@code Errors:}. */
        ERRORS,
        /** {@code Since:}. */
        SINCE,
        /** {@code TODO:}. */
        TODO
    }

    /** A part of a comment. */
    public static final class Section {
        private final Kind kind;
        private final String name;
        private final SourceInfo info;
        private final StringBuilder text = new StringBuilder();

        Section(Kind kind, String name, SourceInfo info) {
            this.kind = kind;
            this.name = name;
            this.info = info;
        }

        /** What it is. */
        public Kind kind() {
            return kind;
        }

        /** Name of the member or feature, empty for other kinds. */
        public String name() {
            return name;
        }

        /** Where it starts. */
        public SourceInfo info() {
            return info;
        }

        /** The lines, without the comment marks, each ended by a newline. */
        public String text() {
            return text.toString();
        }

        void append(String line) {
            text.append(line).append('\n');
        }
    }

    private final SourceInfo info;
    private final @Nullable String symbol;
    private final List<Section> sections = new ArrayList<>();

    DocComment(SourceInfo info, @Nullable String symbol) {
        this.info = info;
        this.symbol = symbol;
    }

    /** Where the comment starts. */
    public SourceInfo info() {
        return info;
    }

    /** The definition it is for, or null when free-form. */
    public @Nullable String symbol() {
        return symbol;
    }

    /** All sections in their order. */
    public List<Section> sections() {
        return List.copyOf(sections);
    }

    /** The section of a member or feature, or null. */
    public @Nullable Section find(Kind kind, String name) {
        for (Section section : sections) {
            if (section.kind() == kind && section.name().equals(name)) {
                return section;
            }
        }
        return null;
    }

    Section open(Kind kind, String name, SourceInfo at) {
        Section section = new Section(kind, name, at);
        sections.add(section);
        return section;
    }

    @Nullable Section last() {
        return sections.isEmpty() ? null : sections.get(sections.size() - 1);
    }
}
