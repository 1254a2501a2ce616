package lockstep.qapi;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/** All errors of a run: each mistake is told once, and none that is only the echo of another. */
class AllErrorsTest {
    @TempDir Path directory;
    private SchemaFiles files;

    @BeforeEach
    void files() {
        files = new SchemaFiles(directory);
    }

    private void expect(String text, String... errors) throws IOException {
        assertEquals(List.of(errors), files.allErrors(text));
    }

    @Test
    void everyDefinitionIsChecked() throws IOException {
        expect(
                """
                { 'struct': 'Tank', 'data': { 'a': 'Nothing', 'b': ['Nobody'], 'C': 'int' } }
                { 'struct': 'Pond', 'data': { 'a': 'Nothing' } }
                { 'enum': 'Kind', 'data': [ 'one', 'o_ne', 'two', 'Two' ], 'prefix': [] }
                { 'command': 'fill', 'returns': 'int' }
                """,
                "t.json: In struct 'Tank':\nt.json:1: name of 'data' member 'C' must not use"
                        + " uppercase or '_'",
                "t.json: In enum 'Kind':\nt.json:3: 'prefix' must be a string",
                "t.json: In enum 'Kind':\nt.json:3: name of 'data' member 'o_ne' must not use"
                        + " uppercase or '_'",
                "t.json: In enum 'Kind':\nt.json:3: name of 'data' member 'Two' must not use"
                        + " uppercase or '_'",
                "t.json: In struct 'Pond':\nt.json:2: member 'a' uses unknown type 'Nothing'",
                "t.json: In command 'fill':\nt.json:4: command's 'returns' cannot take built-in"
                        + " type 'int'");
    }

    @Test
    void aBrokenDefinitionIsNoReasonToCallItsNameUnknown() throws IOException {
        expect(
                """
                { 'struct': 'Tank', 'data': { 'a': 'int' } 'base' }
                { 'struct': 'pond', 'data': {} }
                { 'enum': 'Kind', 'data': 'x' }
                { 'strukt': 'Lake', 'data': {} }
                { 'struct': 'Sea', 'data': { 'a': 'Tank', 'b': ['pond'], 'c': 'Kind', 'd': 'Lake' } }
                { 'union': 'Water', 'base': { 'kind': 'Kind' }, 'discriminator': 'kind',
                  'data': { 'a': 'Tank' } }
                { 'union': 'Rain', 'base': 'Tank', 'discriminator': 'kind', 'data': { 'a': 'Sea' } }
                { 'alternate': 'Any', 'data': { 'a': 'Kind', 'b': 'str' } }
                { 'command': 'fill', 'data': 'Tank', 'returns': 'pond' }
                """,
                "t.json:1:44: expected ',' or '}'",
                "t.json: In struct 'pond':\nt.json:2: name of struct must use CamelCase",
                "t.json: In enum 'Kind':\nt.json:3: 'data' must be an array",
                "t.json:4: expression must have exactly one key 'enum', 'struct', 'union',"
                        + " 'alternate', 'command', 'event'");
    }

    @Test
    void whatAMissingFileMayHaveDefinedIsNotMissed() throws IOException {
        expect(
                """
                { 'include': 'gone.json' }
                { 'struct': 'Sea', 'data': { 'a': 'Gone', 'a': 'Gone' } }
                { 'command': 'fill_up', 'data': 'Gone' }
                """,
                "t.json:1: can't read include file 'gone.json': No such file or directory",
                "t.json:2:48: duplicate key 'a'");
    }

    @Test
    void readingGoesOnAfterEachErrorOfSyntax() throws IOException {
        expect(
                """
                { 'struct': 'One', 'data': { 'a': 5 } }
                { 'struct': 'Two', 'data': { 'a': 'int' }
                { 'struct': 'Three', 'data': { 'a': 'One', 'b': 'Two' } }
                { 'struct': 'Four, 'data': {} }
                { 'struct': 'Five', 'data': { 'a': 'Six',
                                              'b' } }

                ##
                # @Six:
                ##
                { 'struct': 'Six', 'data': {} }
                ] { 'struct': 'Seven', 'data': {} }
                { 'struct': 'Eight', 'data': { 'a': 'Seven', 'b': 'Five', 'c': 'Nine' } }
                """,
                "t.json:1:35: stray '5'",
                "t.json:3:1: expected ',' or '}'",
                "t.json:4:21: stray 'data'",
                "t.json:6:35: expected ':'",
                "t.json:12:1: expected '{', '[', string, or boolean",
                "t.json: In struct 'Eight':\nt.json:13: member 'c' uses unknown type 'Nine'");
    }

    @Test
    void quotesLostOrDoubled() throws IOException {
        expect(
                """
                { 'struct': 'One, 'data': {} }
                { 'struct: 'Two', 'data': {} }
                { 'struct': Three', 'data': {} }
                { "struct": "Four", "data": {} }
                { 'struct' 'Five', 'data': {} }
                { 'struct': 'Six
                { 'struct': 'Seven', 'data': { 'a': 'One', 'b': 'Two', 'c': 'Three', 'd': 'Four',
                                               'e': 'Five', 'f': 'Six' } }
                """,
                "t.json:1:20: stray 'data'",
                "t.json:2:13: stray 'Two'",
                "t.json:3:13: stray 'Three'",
                "t.json:4:3: stray '\"struct\"'",
                "t.json:5:12: expected ':'",
                "t.json:6:13: missing terminating \"'\"");
    }

    @Test
    void marksOfDocumentationLost() throws IOException {
        expect(
                """
                # @Tank:
                #
                # @a: x
                ##
                { 'struct': 'Tank', 'data': { 'a': 'int' } }

                ##########
                # Plain. Not read.

                ##
                # @Pond:
                # @a: x
                { 'struct': 'Pond', 'data': { 'a': 'int', 'b': 'int' } }
                """,
                "t.json:5:1: documentation comment must end with '##'",
                "t.json:7:1: junk after '##' at start of documentation comment",
                "t.json:13:1: documentation comment must end with '##'");
    }

    @Test
    void documentationIsReadToItsEnd() throws IOException {
        expect(
                """
                ##
                # @Tank
                #
                # One. Two.
                #
                # @a:
                #
                # Returns: x
                #
                # Notes: y
                ##
                { 'struct': 'Tank', 'data': { 'a': 'int', 'b': 'int' } }

                ##
                # @Pond:
                #
                # One. Two.
                #
                # @c: x
                ##
                { 'struct': 'Pond', 'data': { 'a': 'int', 'b': 'int' } }

                ##
                # @Lake:
                { 'struct': 'Lake', 'data': { 'a': 'int' } }
                """,
                "t.json:2:1: line should end with ':'",
                "t.json:4:7: Use two spaces between sentences\n"
                        + "If this not the end of a sentence, please report a bug.",
                "t.json:10:1: The 'Notes' section is no longer supported. Please use rST's"
                        + " '.. note::' or '.. admonition:: notes' directives, or another suitable"
                        + " admonition instead.",
                "t.json:6: text required after 'Member:'",
                "t.json:17:7: Use two spaces between sentences\n"
                        + "If this not the end of a sentence, please report a bug.",
                "t.json:25:1: documentation comment must end with '##'",
                "t.json: In struct 'Pond':\nt.json:21: member 'a' lacks documentation",
                "t.json: In struct 'Pond':\nt.json:21: member 'b' lacks documentation",
                "t.json:19: documented member 'c' does not exist");
    }

    @Test
    void valuesBetweenDefinitions() throws IOException {
        expect(
                """
                ##
                # @Tank:
                ##
                'oops' { 'struct': 'Tank', 'data': { 'a': 'int' } }
                [ 'a' ]
                { 'struct': 'River', 'data': {} }
                'b' ##
                # @Pond:
                ##
                { 'struct': 'Pond', 'data': {} }
                ##
                # @Lake:
                ###
                # A long lake.
                ##
                 'struct': 'Lake', 'data': { 'a': 'int' } }
                { 'struct': 'Sea', 'data': { 'a': 'Tank', 'b': 'Lake' } }
                """,
                "t.json:4: top-level expression must be an object",
                "t.json:7: top-level expression must be an object",
                "t.json:13:1: junk after '##' at end of documentation comment",
                "t.json:16: top-level expression must be an object");
    }

    @Test
    void somethingElseInADocumentationComment() throws IOException {
        expect(
                """
                ##
                # @Tank:
                lost
                # @a: x
                ##
                { 'struct': 'Tank', 'data': { 'b': 'int' } }
                """,
                "t.json:3:1: stray 'lost'");
    }

    @Test
    void aClashIsToldWhereItIs() throws IOException {
        expect(
                """
                { 'struct': 'Base', 'data': { 'a-b': 'int', 'a': 'int' } }
                { 'struct': 'Mid', 'base': 'Base', 'data': { 'a': 'int' } }
                { 'struct': 'Low', 'base': 'Mid', 'data': { 'a-b': 'int' } }
                { 'enum': 'Kind', 'data': [ 'x', 'y' ] }
                { 'union': 'Uni', 'base': { 'kind': 'Kind', 'a': 'int' }, 'discriminator': 'kind',
                  'data': { 'x': 'Base', 'y': 'Base', 'z': 'Base' } }
                """,
                "t.json: In struct 'Mid':\nt.json:2: member 'a' collides with member 'a' of type"
                        + " 'Base'",
                "t.json: In struct 'Low':\nt.json:3: member 'a-b' collides with member 'a-b' of"
                        + " type 'Base'",
                "t.json: In union 'Uni':\nt.json:5: branch 'z' is not a value of enum type 'Kind'",
                "t.json: In union 'Uni':\nt.json:5: member 'a' of type 'Base' collides with base"
                        + " member 'a'");
    }

    @Test
    void aCircleIsToldOnce() throws IOException {
        expect(
                """
                { 'struct': 'Hen', 'base': 'Egg', 'data': {} }
                { 'struct': 'Egg', 'base': 'Hen', 'data': {} }
                """,
                "t.json: In struct 'Hen':\nt.json:1: object Hen contains itself");
    }

    @Test
    void pragmas() throws IOException {
        expect(
                """
                { 'pragma': { 'command-name-exceptions': 'one_two', 'other': true,
                              'doc-required': 'yes' } }
                { 'command': 'one_two' }
                """,
                "t.json:1: pragma command-name-exceptions must be a list of strings",
                "t.json:1: unknown pragma 'other'",
                "t.json:1: pragma 'doc-required' must be boolean");
        expect(
                """
                { 'pragma': { 'command-name-exceptions': [ 'one_two' 'three_four' ] } }
                { 'command': 'one_two' }
                { 'command': 'three_four' }
                """,
                "t.json:1:54: expected ',' or ']'");
    }

    @Test
    void errorsInSeveralFiles() throws IOException {
        files.write("sub.json", "{ 'struct': 'Sub', 'data': { 'a': 'None' } }\n{ 'enum': 'x' }\n");
        expect(
                """
                { 'include': 'sub.json' }
                { 'include': 'sub.json' }
                { 'include': 't.json' }
                { 'command': 'do', 'data': 'Sub', 'returns': 'x' }
                """,
                "t.json:3: inclusion loop for t.json",
                "In file included from t.json:1:\nsub.json: In enum 'x':\nsub.json:2: name of enum"
                        + " must use CamelCase",
                "In file included from t.json:1:\nsub.json: In enum 'x':\nsub.json:2: enum misses"
                        + " key 'data'",
                "In file included from t.json:1:\nsub.json: In struct 'Sub':\nsub.json:1: member"
                        + " 'a' uses unknown type 'None'");
    }

    @Test
    void thereIsAnEnd() throws IOException {
        List<String> all = files.allErrors("{\n".repeat(5000));
        assertEquals(1001, all.size());
        assertEquals("t.json:1002: more than 1000 errors, the rest is left out", all.get(1000));
    }
}
