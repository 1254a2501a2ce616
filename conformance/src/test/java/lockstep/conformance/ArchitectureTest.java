package lockstep.conformance;

import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import static org.junit.jupiter.api.Assertions.assertFalse;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.library.dependencies.SliceAssignment;
import com.tngtech.archunit.library.dependencies.SliceIdentifier;

import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** Holds the table of the architecture page: which room may import which. */
class ArchitectureTest {
    /** The packages of each room. */
    private static final Map<String, List<String>> ROOMS =
            Map.of(
                    "qapi-schema", List.of("lockstep.qapi.."),
                    "codegen-plugin", List.of("lockstep.codegen.."),
                    "generated",
                            List.of("lockstep.qmp..", "lockstep.api..", "lockstep.linux.abi.."),
                    "x86", List.of("lockstep.x86.."),
                    "runtime", List.of("lockstep.runtime.."),
                    "block", List.of("lockstep.block.."),
                    "tools", List.of("lockstep.tools.."),
                    "net", List.of("lockstep.net.."),
                    "devices", List.of("lockstep.devices.."),
                    "colo", List.of("lockstep.colo.."));

    /** The rooms that each room may import, besides itself and the JDK. */
    private static final Map<String, List<String>> MAY_IMPORT =
            Map.of(
                    "qapi-schema", List.of(),
                    "codegen-plugin", List.of("qapi-schema"),
                    "generated", List.of(),
                    "x86", List.of(),
                    "runtime", List.of("x86", "generated"),
                    "block", List.of("generated", "runtime"),
                    "tools", List.of("generated", "runtime", "block"),
                    "net", List.of("generated", "runtime"),
                    "devices", List.of("generated", "runtime", "block", "net"),
                    "colo", List.of("generated", "runtime", "block", "net"));

    private static final JavaClasses CLASSES =
            new ClassFileImporter()
                    .withImportOption(new ImportOption.DoNotIncludeTests())
                    .withImportOption(location -> !location.contains("-tests.jar"))
                    .importPackages("lockstep");

    @TestFactory
    List<DynamicTest> everyRoomImportsOnlyWhatItMay() {
        List<DynamicTest> tests = new ArrayList<>();
        MAY_IMPORT.forEach(
                (room, allowed) ->
                        tests.add(DynamicTest.dynamicTest(room, () -> check(room, allowed))));
        return tests;
    }

    private static void check(String room, List<String> allowed) {
        List<String> forbidden = new ArrayList<>();
        ROOMS.forEach(
                (other, packages) -> {
                    if (!other.equals(room) && !allowed.contains(other)) {
                        forbidden.addAll(packages);
                    }
                });
        noClasses()
                .that()
                .resideInAnyPackage(packages(room))
                .should()
                .dependOnClassesThat()
                .resideInAnyPackage(forbidden.toArray(String[]::new))
                .check(CLASSES);
    }

    /** A newcomer can read a room from its lowest package up. */
    @TestFactory
    List<DynamicTest> packagesAreInNoCircle() {
        return Stream.of(
                        "generated",
                        "qapi-schema",
                        "codegen-plugin",
                        "runtime",
                        "block",
                        "tools",
                        "net",
                        "devices",
                        "x86",
                        "colo")
                .map(room -> DynamicTest.dynamicTest(room, () -> inNoCircle(room)))
                .toList();
    }

    private static void inNoCircle(String room) {
        slices().assignedFrom(new ByPackage())
                .should()
                .beFreeOfCycles()
                .check(CLASSES.that(resideInAnyPackage(packages(room))));
    }

    /** Each package by itself, also one that has others below it. */
    private static final class ByPackage implements SliceAssignment {
        @Override
        public SliceIdentifier getIdentifierOf(JavaClass c) {
            return SliceIdentifier.of(c.getPackageName());
        }

        @Override
        public String getDescription() {
            return "packages";
        }
    }

    @Test
    void onlyTheLinuxPackagesTouchNativeLinkage() {
        noClasses()
                .that()
                .resideOutsideOfPackages(
                        "lockstep.runtime.linux..", "lockstep.qmp.linux..", "lockstep.linux.abi..")
                .should()
                .dependOnClassesThat()
                .haveFullyQualifiedName("java.lang.foreign.Linker")
                .orShould()
                .dependOnClassesThat()
                .haveFullyQualifiedName("java.lang.foreign.SymbolLookup")
                .check(CLASSES);
    }

    /** They are found as services; the machine knows them by what all accelerators have. */
    @Test
    void nobodyKnowsAnAccelerator() {
        for (String accelerator : List.of("lockstep.runtime.kvm..", "lockstep.runtime.jvm..")) {
            noClasses()
                    .that()
                    .resideOutsideOfPackage(accelerator)
                    .should()
                    .dependOnClassesThat()
                    .resideInAPackage(accelerator)
                    .check(CLASSES);
        }
    }

    @Test
    void noPackageIsADrawerForEverything() {
        for (String name : List.of("util", "common", "base", "misc", "impl")) {
            assertFalse(
                    CLASSES.stream()
                            .anyMatch(c -> c.getPackageName().matches(".*\\." + name + "(\\..*)?")),
                    "a package is called " + name);
        }
    }

    private static String[] packages(String room) {
        return ROOMS.getOrDefault(room, List.of()).toArray(String[]::new);
    }
}
