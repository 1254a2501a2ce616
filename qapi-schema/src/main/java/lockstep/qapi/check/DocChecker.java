package lockstep.qapi.check;

import lockstep.qapi.model.Branch;
import lockstep.qapi.model.Definition;
import lockstep.qapi.model.EnumValue;
import lockstep.qapi.model.Feature;
import lockstep.qapi.model.Member;
import lockstep.qapi.syntax.DocComment;
import lockstep.qapi.syntax.ErrorLog;
import lockstep.qapi.syntax.Pragmas;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/** Compares documentation comments with what they document. */
final class DocChecker {
    private final Pragmas pragmas;
    private final ErrorLog log;
    private final List<Runnable> later = new ArrayList<>();

    DocChecker(Pragmas pragmas, ErrorLog log) {
        this.pragmas = pragmas;
        this.log = log;
    }

    /** Finds what lacks documentation. */
    void connect(Definition definition) {
        DocComment doc = definition.head().doc();
        if (doc == null || !doc.sound()) {
            return;
        }
        Set<String> members = new HashSet<>();
        Set<String> features = new HashSet<>();
        features(doc, definition, definition.head().features(), features);
        if (definition instanceof Definition.EnumType type) {
            for (EnumValue value : type.values()) {
                member(doc, definition, "value", value.name(), members);
                features(doc, definition, value.features(), features);
            }
        } else if (definition instanceof Definition.AlternateType type) {
            for (Branch branch : type.branches()) {
                member(doc, definition, "branch", branch.name(), members);
            }
        }
        for (Member member : definition.ownMembers()) {
            member(doc, definition, "member", member.name(), members);
            features(doc, definition, member.features(), features);
        }
        later.add(
                () -> {
                    bogus(doc, DocComment.Kind.MEMBER, "member", members);
                    bogus(doc, DocComment.Kind.FEATURE, "feature", features);
                });
    }

    /** Finds what is documented but does not exist; to be called after all definitions. */
    void finish() {
        later.forEach(Runnable::run);
    }

    private void member(
            DocComment doc, Definition definition, String role, String name, Set<String> seen) {
        seen.add(name);
        if (doc.find(DocComment.Kind.MEMBER, name) == null
                && !pragmas.except(Pragmas.Rule.DOCUMENTATION, definition.name())) {
            log.report(definition.head().info(), role + " '" + name + "' lacks documentation");
        }
    }

    private void features(
            DocComment doc, Definition definition, List<Feature> features, Set<String> seen) {
        for (Feature feature : features) {
            seen.add(feature.name());
            if (doc.find(DocComment.Kind.FEATURE, feature.name()) == null) {
                log.report(
                        definition.head().info(),
                        "feature '" + feature.name() + "' lacks documentation");
            }
        }
    }

    private void bogus(DocComment doc, DocComment.Kind kind, String what, Set<String> existing) {
        List<DocComment.Section> bogus =
                doc.sections().stream()
                        .filter(s -> s.kind() == kind && !existing.contains(s.name()))
                        .toList();
        if (!bogus.isEmpty()) {
            boolean many = bogus.size() > 1;
            List<String> names = bogus.stream().map(DocComment.Section::name).toList();
            log.report(
                    bogus.get(0).info(),
                    "documented "
                            + what
                            + (many ? "s" : "")
                            + " '"
                            + String.join("', '", names)
                            + (many ? "' do not exist" : "' does not exist"));
        }
    }
}
