package lockstep.qapi.syntax;

import org.jspecify.annotations.Nullable;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

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
        TODO;

        /** The name as QEMU's generator writes it: {@code Plain}, {@code Member} and so on. */
        @Override
        public String toString() {
            return name().charAt(0) + name().substring(1).toLowerCase(java.util.Locale.ROOT);
        }
    }

    /** A part of a comment. */
    public static final class Section {
        private final Kind kind;
        private final String name;
        private SourceInfo info;
        private final StringBuilder lines = new StringBuilder();
        private String written = "";

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

        /** The text as written: without comment marks and tag, but indented as it was. */
        public String written() {
            return written;
        }

        /** The text without the indentation that all lines below a tag share. */
        public String text() {
            if (kind == Kind.PLAIN) {
                return written;
            }
            String[] all = written.split("\n", -1);
            int shared = Integer.MAX_VALUE;
            for (int i = 0; i < all.length; i++) {
                int indent = Whitespace.leading(all[i]);
                boolean besideTag = i == 0 && indent == 0;
                if (!besideTag && indent < all[i].length()) {
                    shared = Math.min(shared, indent);
                }
            }
            StringBuilder result = new StringBuilder();
            for (int i = 0; i < all.length; i++) {
                int cut = Math.min(shared, Whitespace.leading(all[i]));
                result.append(i == 0 ? "" : "\n").append(all[i], cut, all[i].length());
            }
            return result.toString();
        }

        void append(String line) {
            lines.append(line).append('\n');
        }

        /** Goes on with another paragraph. */
        private void paragraph(SourceInfo at) {
            if (lines.isEmpty()) {
                info = at;
            }
            lines.append('\n');
        }

        private void end() {
            int from = 0;
            int to = lines.length();
            while (from < to && lines.charAt(from) == '\n') {
                from++;
            }
            while (to > from && lines.charAt(to - 1) == '\n') {
                to--;
            }
            written = lines.substring(from, to);
            lines.setLength(0);
        }
    }

    private final SourceInfo info;
    private final @Nullable String symbol;
    private final List<Section> sections = new ArrayList<>();
    private final Map<String, Section> members = new LinkedHashMap<>();
    private final Map<String, Section> features = new LinkedHashMap<>();
    private boolean sound = true;

    DocComment(SourceInfo info, @Nullable String symbol) {
        this.info = info;
        this.symbol = symbol;
        sections.add(new Section(Kind.PLAIN, "", info));
    }

    /** Where the comment starts. */
    public SourceInfo info() {
        return info;
    }

    /** The definition it is for, or null when free-form. */
    public @Nullable String symbol() {
        return symbol;
    }

    /** All sections in their order. The first one is always plain text, and may be empty. */
    public List<Section> sections() {
        return Collections.unmodifiableList(sections);
    }

    /** The section of a member or feature, or the first one of another kind; null without one. */
    public @Nullable Section find(Kind kind, String name) {
        if (kind == Kind.MEMBER) {
            return members.get(name);
        }
        if (kind == Kind.FEATURE) {
            return features.get(name);
        }
        for (Section section : sections) {
            if (section.kind() == kind) {
                return section;
            }
        }
        return null;
    }

    /** False when errors in it were reported, so that it cannot be held against the definition. */
    public boolean sound() {
        return sound;
    }

    void spoil() {
        sound = false;
    }

    boolean hasFeatures() {
        return !features.isEmpty();
    }

    Section open(Kind kind, String name, SourceInfo at) {
        Section section = new Section(kind, name, at);
        sections.add(section);
        if (kind == Kind.MEMBER) {
            members.putIfAbsent(name, section);
        } else if (kind == Kind.FEATURE) {
            features.putIfAbsent(name, section);
        }
        return section;
    }

    /** The plain text that goes on or starts here. */
    Section plain(SourceInfo at) {
        Section last = sections.get(sections.size() - 1);
        if (last.kind() == Kind.PLAIN) {
            last.paragraph(at);
            return last;
        }
        return open(Kind.PLAIN, "", at);
    }

    void end() {
        sections.forEach(Section::end);
    }
}
