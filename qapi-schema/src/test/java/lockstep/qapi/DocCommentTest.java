package lockstep.qapi;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import lockstep.qapi.model.Schema;
import lockstep.qapi.syntax.DocComment;
import lockstep.qapi.syntax.DocComment.Kind;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;

/** Documentation comments: what is read from them, and what is wrong with them. */
class DocCommentTest {
    @TempDir Path directory;
    private SchemaFiles files;

    @BeforeEach
    void files() {
        files = new SchemaFiles(directory);
    }

    private static String comment(String lines) {
        StringBuilder text = new StringBuilder("##\n");
        lines.lines().forEach(l -> text.append(l.isEmpty() ? "#" : "# " + l).append('\n'));
        return text.append("##\n").toString();
    }

    private String error(String lines, String definition) throws IOException {
        return files.firstError(comment(lines) + definition);
    }

    private DocComment read(String lines, String definition) throws Exception {
        Schema schema = files.load(comment(lines) + definition);
        return schema.docs().get(0);
    }

    @Test
    void everyKindOfSection() throws Exception {
        DocComment doc =
                read(
                        """
                        @fill:

                        Fills a tank.

                        Not in winter.

                        @tank: which one,
                            by its number

                        @level:
                           how full

                        Features:

                        @slow: takes hours

                        @loud:

                          not at night

                        Returns: what was
                            filled in

                        Errors:
                            - DeviceNotFound, if there is no tank

                        TODO: a pump

                        TODO: another

                        Since: 3.1

                        The end.
                        """,
                        "{ 'command': 'fill', 'data': { 'tank': 'int', 'level': 'int' },"
                                + " 'features': ['slow', 'loud'], 'returns': 'Tank' }"
                                + " { 'struct': 'Tank', 'data': {} }");
        assertEquals("fill", doc.symbol());
        assertEquals(
                List.of(
                        Kind.PLAIN,
                        Kind.MEMBER,
                        Kind.MEMBER,
                        Kind.FEATURE,
                        Kind.FEATURE,
                        Kind.RETURNS,
                        Kind.ERRORS,
                        Kind.TODO,
                        Kind.TODO,
                        Kind.SINCE,
                        Kind.PLAIN),
                doc.sections().stream().map(DocComment.Section::kind).toList());
        assertEquals("Fills a tank.\n\nNot in winter.", doc.sections().get(0).text());
        DocComment.Section tank = Objects.requireNonNull(doc.find(Kind.MEMBER, "tank"));
        assertEquals("which one,\nby its number", tank.text());
        assertEquals("which one,\n    by its number", tank.written());
        assertEquals(8, tank.info().line());
        assertEquals("how full", Objects.requireNonNull(doc.find(Kind.MEMBER, "level")).text());
        assertEquals(
                "  not at night", Objects.requireNonNull(doc.find(Kind.FEATURE, "loud")).written());
        assertNull(doc.find(Kind.FEATURE, "tank"));
        assertEquals("The end.", doc.sections().get(10).text());
    }

    @Test
    void sharedIndentationIsCutAndMoreIsKept() throws Exception {
        DocComment doc =
                read(
                        """
                        @Tank:

                        @list:
                            - one

                                deeper

                            - two
                        """,
                        "{ 'struct': 'Tank', 'data': { 'list': 'int' } }");
        assertEquals(
                "- one\n\n    deeper\n\n- two",
                Objects.requireNonNull(doc.find(Kind.MEMBER, "list")).text());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '"',
            value = {
                "@Tank|t.json:2:1: line should end with ':'",
                "@:|t.json:2:1: name required after '@'",
                "@Tank:~~@a: x~@a: y|t.json:5: 'a' parameter name duplicated",
                "@Tank:~~@: x|t.json:4: invalid parameter name",
                "@Tank:~~@a:|t.json:4: text required after 'Member:'",
                "@Tank:~~Since:|t.json:4: text required after 'Since:'",
                "@Tank:~~TODO:~~Since: 1|t.json:4: text required after 'Todo:'",
                "@Tank:~~Since: 1~~Since: 2|t.json:6: duplicated 'Since' section",
                "@Tank:~~Errors: e~~Errors: f|t.json:6: duplicated 'Errors' section",
                "@Tank:~~Returns: e~Returns: f|t.json:5: duplicated 'Returns' section",
                "@Tank:~~Features:~text|t.json:5:1: feature descriptions expected",
                "@Tank:~~Features:~@f: x~~Features:~@g: y"
                        + "|t.json:7:1: duplicated 'Features:' line",
                "@Tank:~~Since: 1~~@a: late"
                        + "|t.json:6:1: description of '@a:' follows a section",
                "@Tank:~~@a: x~    y~  z|t.json:6:1: unexpected de-indent"
                        + " (expected at least 4 spaces)",
                "Free text~@a: x|t.json:3:1: '@a:' not allowed in free-form documentation",
                "Free text|t.json:1: definition documentation required",
                "@Tank:~~Returns: x|t.json:4: 'Returns' section is only valid for commands",
                "@Tank:~~Errors: x|t.json:4: 'Errors' section is only valid for commands",
                "@Pond:~~@a: x|t.json: In struct 'Tank':~t.json:6:"
                        + " documentation comment is for 'Pond'",
                "@Tank:|t.json: In struct 'Tank':~t.json:4: member 'a' lacks documentation",
                "@Tank:~~@a: x~@b: y|t.json:5: documented member 'b' does not exist",
                "@Tank:~~@b: x~@a: y~@c: z|t.json:4: documented members 'b', 'c' do not exist",
                "@Tank:~~@a: x~~Features:~@f: y|t.json:7: documented feature 'f' does not exist",
                "@Tank:~~@a: x~~Features:~@f: y~@g: z"
                        + "|t.json:7: documented features 'f', 'g' do not exist",
            })
    void mistakes(String lines, String expected) throws IOException {
        assertEquals(
                expected.replace('~', '\n'),
                error(lines.replace('~', '\n'), "{ 'struct': 'Tank', 'data': { 'a': 'int' } }"));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '"',
            value = {
                "Note|'.. note::' or '.. admonition:: notes' directives, or another suitable"
                        + " admonition instead.",
                "Notes|'.. note::' or '.. admonition:: notes' directives, or another suitable"
                        + " admonition instead.",
                "Example|'.. qmp-example::' directive, or other suitable markup instead.",
                "Examples|'.. qmp-example::' directive, or other suitable markup instead.",
            })
    void sectionsOfFormerTimes(String tag, String instead) throws Exception {
        String use = tag.startsWith("Note") ? "Please use rST's " : "Please use the ";
        assertEquals(
                "t.json:4:1: The '" + tag + "' section is no longer supported. " + use + instead,
                error("@Tank:\n\n" + tag + ": x", "{ 'struct': 'Tank', 'data': {} }"));
        assertEquals(
                tag + "::",
                files.load(comment("@Tank:\n\n" + tag + "::") + "{ 'struct': 'Tank', 'data': {} }")
                        .docs()
                        .get(0)
                        .sections()
                        .get(0)
                        .text());
    }

    @Test
    void marks() throws IOException {
        assertEquals(
                "t.json:1:1: junk after '##' at start of documentation comment",
                files.firstError("## text\n"));
        assertEquals(
                "t.json:3:1: junk after '##' at end of documentation comment",
                files.firstError("##\n# text\n##.\n"));
        assertEquals("t.json:2:1: missing space after #", files.firstError("##\n#text\n##\n"));
        assertEquals(
                "t.json:3:1: documentation comment must end with '##'",
                files.firstError("##\n# text\n{ 'struct': 'Tank', 'data': {} }\n"));
        assertEquals(
                "t.json:2:7: documentation comment must end with '##'",
                files.firstError("##\n# text"));
        assertEquals(
                "t.json:1: documentation for 'Tank' is not followed by the definition",
                files.firstError("##\n# @Tank:\n##\n##\n# text\n##\n"));
        assertEquals(
                "t.json:1: documentation for 'Tank' is not followed by the definition",
                files.firstError("##\n# @Tank:\n##\n{ 'pragma': {} }\n"));
        assertEquals(
                "t.json: In struct 'Tank':\nt.json:2: documentation comment required",
                files.firstError(
                        "{ 'pragma': { 'doc-required': true } }\n"
                                + "{ 'struct': 'Tank', 'data': {} }"));
    }

    @Test
    void linesHaveSeventyColumns() throws Exception {
        String fits = "x".repeat(68);
        assertEquals(fits, read(fits, "").sections().get(0).text());
        assertEquals(
                "t.json:2:1: documentation line longer than 70 characters", error(fits + "x", ""));
        String umlauts = "ä".repeat(68);
        assertEquals(umlauts, read(umlauts, "").sections().get(0).text());
        String address = "  https://example.org/" + fits;
        assertEquals(address, read(address, "").sections().get(0).text());
        assertEquals(
                "t.json:2:1: documentation line longer than 70 characters",
                error("see https://example.org/" + fits, ""));
    }

    @Test
    void sentencesStandTwoSpacesApart() throws Exception {
        String why =
                ": Use two spaces between sentences\n"
                        + "If this not the end of a sentence, please report a bug.";
        assertEquals("t.json:2:11" + why, error("It runs. Fast.", ""));
        assertEquals("t.json:2:9" + why, error("Is it? (Yes.)", ""));
        assertEquals("t.json:2:7" + why, error("  a! 2 b", ""));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "It runs.  Fast.",
                "Tanks, e.g. Big ones",
                " 1. First of a list",
                "about. lower case",
                "::\n\n  Any. Thing goes here and may be as long as it likes, or even longer",
                ".. qmp-example::\n\n   <- a. B"
            })
    void linesThatFollowTheRules(String lines) throws Exception {
        assertEquals(lines, read(lines, "").sections().get(0).text());
    }

    @Test
    void aLiteralBlockEndsWhereTheIndentationDoes() throws IOException {
        assertEquals(
                "t.json:6:10: Use two spaces between sentences\n"
                        + "If this not the end of a sentence, please report a bug.",
                error("::\n\n   a. B\n\nNot it. It ends", ""));
    }

    @Test
    void undocumentedMembersWhereThePragmaAllowsThem() throws Exception {
        Schema schema =
                files.load(
                        "{ 'pragma': { 'documentation-exceptions': ['Tank'] } }\n"
                                + comment("@Tank:\n\n@b: x")
                                + "{ 'struct': 'Tank', 'data': { 'a': 'int', 'b': 'int' } }");
        assertEquals(
                """
                doc symbol=Tank
                    body=

                    arg=b
                x
                    arg=a

                """,
                SchemaDump.of(schema).replaceAll("(?s)^.*(?=doc symbol)", ""));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '"',
            value = {
                "@Ee:~~@b: x|{ 'enum': 'Ee', 'data': ['a', 'b'] }|In enum 'Ee':|value 'a' lacks",
                "@Aa:~~@b: x|{ 'alternate': 'Aa', 'data': { 'a': 'int', 'b': 'bool' } }"
                        + "|In alternate 'Aa':|branch 'a' lacks",
                "@cc:~~@b: x|{ 'command': 'cc', 'data': { 'a': 'int' } }"
                        + "|In command 'cc':|member 'a' lacks",
                "@Ee:~~@a: x|{ 'enum': 'Ee', 'data': [{ 'name': 'a', 'features': ['f'] }] }"
                        + "|In enum 'Ee':|feature 'f' lacks",
                "@cc:|{ 'command': 'cc', 'features': ['f'] }|In command 'cc':|feature 'f' lacks",
            })
    void everyPartIsDocumented(String lines, String definition, String place, String what)
            throws IOException {
        String text = lines.replace('~', '\n');
        long line = text.lines().count() + 3;
        assertEquals(
                "t.json: " + place + "\nt.json:" + line + ": " + what + " documentation",
                error(text, definition));
    }

    @Test
    void onlyCommandsThatReturnSomethingSayWhat() throws IOException {
        assertEquals(
                "t.json:4: 'Returns' section, but command doesn't return anything",
                error("@cc:\n\nReturns: x", "{ 'command': 'cc' }"));
    }
}
