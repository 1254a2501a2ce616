package lockstep.qapi;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;

import lockstep.qapi.model.BuiltinType;
import lockstep.qapi.model.Condition;
import lockstep.qapi.model.Definition;
import lockstep.qapi.model.Schema;
import lockstep.qapi.model.TypeRef;
import lockstep.qapi.syntax.DocComment;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Objects;

/** Good schemas and what becomes of them; bad schemas and the errors they give. */
class SchemaLoaderTest {
    @TempDir Path directory;

    private String write(String name, String text) throws IOException {
        Path file = directory.resolve(name);
        Files.createDirectories(file.getParent());
        Files.writeString(file, text);
        return file.toString();
    }

    private Schema load(String text) throws Exception {
        return SchemaLoader.load(write("t.json", text));
    }

    private String error(String text) throws IOException {
        String file = write("t.json", text);
        InvalidSchemaException e =
                assertThrows(InvalidSchemaException.class, () -> SchemaLoader.loadFirstError(file));
        assertEquals(1, e.errors().size());
        return String.valueOf(e.getMessage()).replace(directory + "/", "");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '"',
            value = {
                "{ 'struct': 'Foo', 'data': { 'a': 5 } }|t.json:1:35: stray '5'",
                "{ 'struct' 'Foo' }|t.json:1:12: expected ':'",
                "{ 'struct': 'Foo', }|t.json:1:20: expected string",
                "{ 'struct': 'Foo' 'a': 'b' }|t.json:1:19: expected ',' or '}'",
                "{ 'a': [ 'b' 'c' ] }|t.json:1:14: expected ',' or ']'",
                "{ 'a': [ , ] }|t.json:1:10: expected '{', '[', ']', string, or boolean",
                "{ 'a': } |t.json:1:8: expected '{', '[', string, or boolean",
                "{ 'a': 'b', 'a': 'c' }|t.json:1:18: duplicate key 'a'",
                "{ 'a': 'b|t.json:1:8: missing terminating \"'\"",
                "{ 'a': 'b\\n' }|t.json:1:8: unknown escape \\n",
                "{ 'a': 'é' }|t.json:1:8: funny character in string",
                "[ 'a' ]|t.json:1: top-level expression must be an object",
                "{ 'include': 5 }|t.json:1:14: stray '5'",
                "{ 'include': [] }|t.json:1: value of 'include' must be a string",
                "{ 'include': 'a', 'b': 'c' }|t.json:1: invalid 'include' directive",
                "{ 'include': 't.json' }|t.json:1: inclusion loop for t.json",
                "{ 'include': 'no.json' }"
                        + "|t.json:1: can't read include file 'no.json': No such file or directory",
                "{ 'pragma': { 'x': true } }|t.json:1: unknown pragma 'x'",
                "{ 'pragma': { 'doc-required': 'x' } }"
                        + "|t.json:1: pragma 'doc-required' must be boolean",
                "{ 'foo': 'bar' }|t.json:1: expression must have exactly one key"
                        + " 'enum', 'struct', 'union', 'alternate', 'command', 'event'",
            })
    void syntax(String text, String expected) throws IOException {
        assertEquals(expected, error(text));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '"',
            value = {
                "struct|Foo|'data': { 'a': 'Bar' }|member 'a' uses unknown type 'Bar'",
                "struct|Foo|'data': { 'A': 'int' }"
                        + "|name of 'data' member 'A' must not use uppercase or '_'",
                "struct|foo|'data': {}|name of struct must use CamelCase",
                "struct|FooList|'data': {}|struct name should not end in 'List'",
                "struct|Foo|'data': { 'a-b': 'int', 'a_b': 'int' }"
                        + "|name of 'data' member 'a_b' must not use uppercase or '_'",
                "struct|Foo|'data': { 'has-x': 'int' }|'data' member 'has-x' uses reserved name",
                "struct|Foo|'data': { 'a': ['int', 'str'] }"
                        + "|'data' member 'a': array type must contain single type name",
                "struct|Foo|'data': { 'a': { 'x': 'y' } }|'data' member 'a' misses key 'type'",
                "struct|Foo|'dta': {}|struct misses key 'data'",
                "struct|Foo|'data': {}, 'base': 'int'"
                        + "|'base' requires a struct type, built-in type 'int' isn't",
                "struct|Foo|'data': {}, 'base': 'Foo'|object Foo contains itself",
                "struct|Foo|'data': {}, 'if': 'lower'"
                        + "|'if' condition 'lower' of struct is not a valid identifier",
                "struct|Foo|'data': {}, 'if': { 'any': 'A' }"
                        + "|'any' condition of struct must be an array",
                "struct|Foo|'data': {}, 'features': 'x'|'features' must be an array",
                "enum|Foo|'data': ['a', 'a']|value 'a' collides with value 'a'",
                "enum|Foo|'data': 'a'|'data' must be an array",
                "enum|Foo|'data': [], 'prefix': []|'prefix' must be a string",
                "alternate|Foo|'data': {}|'data' must not be empty",
                "alternate|Foo|'data': { 'a': 'str', 'b': 'int' }"
                        + "|branch 'b' can't be distinguished from 'a'",
                "alternate|Foo|'data': { 'a': 'any' }"
                        + "|branch 'a' cannot use built-in type 'any'",
                "command|foo|'boxed': true|'boxed': true requires 'data'",
                "command|foo|'gen': true|flag 'gen' may only use false value",
                "command|foo|'allow-oob': true, 'coroutine': true"
                        + "|flags 'allow-oob' and 'coroutine' are incompatible",
                "command|foo|'returns': 'int'"
                        + "|command's 'returns' cannot take built-in type 'int'",
                "command|foo|'data': 'int'|command's 'data' cannot take built-in type 'int'",
                "command|foo_bar|'data': {}|name of command must not use uppercase or '_'",
                "command|foo|'boxed': true, 'data': {}|'data' should be a type name",
                "command|foo|'boxed': false|flag 'boxed' may only use true value",
                "command|foo|'data': ['int']|'data' should be an object or type name",
                "command|foo|'data': 'None'|command's 'data' uses unknown type 'None'",
                "command|foo|'returns': 'None'|command's 'returns' uses unknown type 'None'",
                "command|foo|'returns': ['None']|command uses unknown type 'None'",
                "command|foo|'returns': {}|'returns' should be a type name or array",
                "command|foo|'data': { 'a': { 'type': 'int', 'if': 'A' } }"
                        + "|conditional command arguments require 'boxed': true",
                "command|int|'data': {}|built-in type 'int' is already defined",
                "event|foo|'data': {}|name of event must not use lowercase or '-'",
                "event|FOO|'boxed': true|'boxed': true requires 'data'",
                "event|FOO|'data': 'int'|event's 'data' cannot take built-in type 'int'",
                "event|FOO|'data': 'None'|event's 'data' uses unknown type 'None'",
                "event|FOO|'data': { 'a': { 'type': 'int', 'if': 'A' } }"
                        + "|conditional event arguments require 'boxed': true",
                "event|FOO|'data': { 'a': 'None' }|parameter 'a' uses unknown type 'None'",
                "event|FOO|'data': { 'a': ['None'] }|event uses unknown type 'None'",
                "event|FOO|'data': { 'a': 'int', '*a': 'int' }"
                        + "|parameter 'a' collides with parameter 'a'",
                "enum|QType|'data': []|enum type 'QType' is already defined",
                "enum|Foo|'data': [ 'on', '2nd', 'a_b' ]"
                        + "|name of 'data' member 'a_b' must not use uppercase or '_'",
                "enum|Foo|'data': [ true ]|'data' member requires a string name",
                "enum|Foo|'data': [ { 'name': 'a', 'type': 'b' } ]"
                        + "|'data' member has unknown key 'type'~"
                        + "Valid keys are 'features', 'if', 'name'.",
                "struct|q-foo|'data': {}|struct has an invalid name",
                "struct|__org.example_Foo|'data': {}, 'base': {}|'base' should be a type name",
                "struct|Foo|'data': { 'u': 'int' }|'data' member 'u' uses reserved name",
                "struct|Foo|'data': { 'q-x': 'int' }|'data' member 'q-x' has an invalid name",
                "struct|Foo|'data': [], 'x': 'y', 'z': 'y'|struct has unknown keys 'x', 'z'~"
                        + "Valid keys are 'base', 'data', 'features', 'if', 'struct'.",
                "struct|Foo|'data': {}, 'features': ['unstable']"
                        + "|feature 'unstable' is not supported for types",
                "struct|Foo|'data': {}, 'features': ['a', 'a']"
                        + "|feature 'a' collides with feature 'a'",
                "struct|Foo|'data': { 'm': { 'type': 'int', 'features': ['a', 'a'] } }"
                        + "|feature 'a' of type 'm' collides with feature 'a' of type 'm'",
                "struct|Foo|'data': {}, 'features': [true]"
                        + "|'features' member requires a string name",
                "struct|Foo|'data': {}, 'if': {}"
                        + "|'if' condition of struct has conflicting keys",
                "struct|Foo|'data': {}, 'if': { 'not': { 'all': [] } }"
                        + "|'if' condition [] of struct is useless",
                "struct|Foo|'data': {}, 'if': { 'xor': 'A' }"
                        + "|'if' condition of struct has unknown key 'xor'~"
                        + "Valid keys are 'all', 'any', 'not'.",
                "struct|Foo|'data': {}, 'if': { 'not': [] }"
                        + "|'if' condition of struct must be a string or an object",
                "alternate|Foo|'data': 'x'|'data' must be an object",
                "alternate|Foo|'data': { 'a': 'None' }|branch 'a' uses unknown type 'None'",
                "alternate|Foo|'data': { 'a': ['int'], 'b': ['str'] }"
                        + "|branch 'b' can't be distinguished from 'a'",
                "alternate|Foo|'data': { 'a': 'int', 'b': 'size' }"
                        + "|branch 'b' can't be distinguished from 'a'",
                "alternate|Foo|'data': { 'a': 'Foo' }|branch 'a' cannot use alternate type 'Foo'",
                "union|Foo|'data': {}|union misses keys 'base', 'discriminator'",
                "union|Foo|'base': 'int', 'discriminator': [], 'data': {}"
                        + "|'discriminator' requires a string name",
                "union|Foo|'base': true, 'discriminator': 'a', 'data': {}"
                        + "|'base' should be an object or type name",
                "union|Foo|'base': {}, 'discriminator': 'a', 'data': {}"
                        + "|discriminator 'a' is not a member of 'base'",
                "union|Foo|'base': { 'a': 'None' }, 'discriminator': 'a', 'data': {}"
                        + "|base member 'a' uses unknown type 'None'",
                "union|Foo|'base': { 'a': 'QType' }, 'discriminator': 'a',"
                        + " 'data': { 'qnull': 'Foo' }|object Foo contains itself",
                "union|Foo|'base': { 'a': 'QType' }, 'discriminator': 'a',"
                        + " 'data': { 'qnull': ['Foo'] }"
                        + "|'data' member 'qnull' should be a type name",
            })
    void definitions(String meta, String name, String rest, String expected) throws IOException {
        assertEquals(
                "t.json: In " + meta + " '" + name + "':\nt.json:2: " + expected.replace('~', '\n'),
                error("# a comment\n{ '" + meta + "': '" + name + "', " + rest + " }\n"));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '"',
            value = {
                "{ 'type': 'str' }|type|{ 'a': 'Aa' }"
                        + "|discriminator member 'type' of 'base' must be of enum type",
                "{ 'type': 'Ee' }|typ|{ 'a': 'Aa' }"
                        + "|discriminator 'typ' is not a member of 'base'",
                "{ '*type': 'Ee' }|type|{ 'a': 'Aa' }"
                        + "|discriminator member 'type' of 'base' must not be optional",
                "{ 'type': ['Ee'] }|type|{ 'a': 'Aa' }"
                        + "|discriminator member 'type' of 'base' must be of enum type",
                "{ 'type': { 'type': 'Ee', 'if': 'A' } }|type|{ 'a': 'Aa' }"
                        + "|discriminator member 'type' of 'base' must not be conditional",
                "'Aa'|m|{ 'a': 'Aa' }"
                        + "|discriminator member 'm' of base type 'Aa' must be of enum type",
                "'Ee'|m|{ 'a': 'Aa' }|'base' requires a struct type, enum type 'Ee' isn't",
                "{ 'type': 'Ee' }|type|{ 'a': 'Bb' }|branch 'a' uses unknown type 'Bb'",
                "{ 'type': 'Ee' }|type|{ 'x': 'Aa' }"
                        + "|branch 'x' is not a value of enum type 'Ee'",
                "{ 'type': 'Ee' }|type|{ 'a': 'int' }|branch 'a' cannot use built-in type 'int'",
                "{ 'type': 'Ee', 'm': 'int' }|type|{ 'a': 'Aa' }"
                        + "|member 'm' of type 'Aa' collides with base member 'm'",
            })
    void unions(String base, String tag, String data, String expected) throws IOException {
        String text =
                "{ 'enum': 'Ee', 'data': ['a', 'b'] }\n{ 'struct': 'Aa', 'data': { 'm': 'int' } }\n"
                        + "{ 'union': 'Uu', 'base': "
                        + base
                        + ", 'discriminator': '"
                        + tag
                        + "', 'data': "
                        + data
                        + " }";
        assertEquals("t.json: In union 'Uu':\nt.json:3: " + expected, error(text));
    }

    @ParameterizedTest
    @ValueSource(strings = {"command|do-it|command's", "event|DONE|event's"})
    void unionsAsArgumentsAreBoxed(String definition) throws IOException {
        String[] part = definition.split("\\|");
        String text =
                "{ 'union': 'Uu', 'base': { 't': 'QType' }, 'discriminator': 't', 'data': {} }\n"
                        + "{ '"
                        + part[0]
                        + "': '"
                        + part[1]
                        + "', 'data': 'Uu' }";
        assertEquals(
                "t.json: In "
                        + part[0]
                        + " '"
                        + part[1]
                        + "':\nt.json:2: "
                        + part[2]
                        + " 'data' can take union type 'Uu' only with 'boxed': true",
                error(text));
    }

    @Test
    void aUnionWithoutBranches() throws Exception {
        String union =
                "{ 'union': 'Uu', 'base': { 't': 'Ee' }, 'discriminator': 't', 'data': {} }\n";
        assertEquals(
                "t.json: In union 'Uu':\nt.json:2: union has no branches",
                error("{ 'enum': 'Ee', 'data': [] }\n" + union));
        load("{ 'enum': 'Ee', 'data': ['a'] }\n" + union);
    }

    @Test
    void branchesOfBranchesMustNotClashEither() throws IOException {
        assertEquals(
                "t.json: In union 'Outer':\nt.json:5: base member 'b' of type 'Inner' collides"
                        + " with base member 'b'",
                error(
                        """
                        { 'enum': 'Ee', 'data': ['a'] }
                        { 'struct': 'Aa', 'data': {} }
                        { 'union': 'Inner', 'base': { 'b': 'Ee' }, 'discriminator': 'b',
                          'data': { 'a': 'Aa' } }
                        { 'union': 'Outer', 'base': { 'b': 'Ee' }, 'discriminator': 'b',
                          'data': { 'a': 'Inner' } }
                        """));
    }

    @Test
    void sixtyFourFeatures() throws Exception {
        StringBuilder text = new StringBuilder();
        for (int i = 1; i <= 62; i++) {
            text.append("{ 'command': 'c%d', 'features': ['f%d', 'unstable'] }\n".formatted(i, i));
        }
        load(text.toString());
        assertEquals(
                "t.json: In command 'c63':\nt.json:63: Maximum of 64 schema features is permitted",
                error(text + "{ 'command': 'c63', 'features': ['f63'] }"));
    }

    @Test
    void exceptionsFromTheRulesForNames() throws Exception {
        Schema schema =
                load(
                        """
                        { 'pragma': { 'command-name-exceptions': [ 'do_it' ],
                                      'command-returns-exceptions': [ 'do_it' ],
                                      'member-name-exceptions': [ 'Foo', 'Ee' ] } }
                        { 'struct': 'Foo', 'data': { 'A_b': 'int' } }
                        { 'enum': 'Ee', 'data': [ 'B_c', '3D' ] }
                        { 'command': 'do_it', 'returns': ['int'] }
                        { 'command': '__org.example_do', 'data': { '__org.example_x-y': 'str' } }
                        { 'command': 'x-do' }
                        """);
        assertEquals(5, schema.definitions().count());
    }

    @Test
    void columnsCountTabsAsQemuDoes() throws IOException {
        assertEquals("t.json:1:3: stray '!'", error("{\t !"));
        assertEquals("t.json:1:9: stray '!'", error("{       !"));
        assertEquals("t.json:1:1: stray '!'", error("\t!"));
    }

    @Test
    void linesMayEndAsOnOtherSystems() throws Exception {
        assertEquals("t.json:3:1: expected ':'", error("{ 'a'\r\n\r}"));
        assertEquals("t.json:1:1: stray '\ufeff'", error("\ufeff{}"));
        assertEquals("t.json:1:2: stray '\ud83d\ude80'", error("\u00a0\ud83d\ude80"));
    }

    @Test
    void theMainFileIsMissing() {
        InvalidSchemaException e =
                assertThrows(InvalidSchemaException.class, () -> SchemaLoader.load("no/such.json"));
        assertEquals(
                "can't read schema file 'no/such.json': No such file or directory", e.getMessage());
        assertThrows(InvalidSchemaException.class, () -> SchemaLoader.load(""));
        assertThrows(InvalidSchemaException.class, () -> SchemaLoader.load("no\0such"));
        assertThrows(InvalidSchemaException.class, () -> SchemaLoader.load(directory.toString()));
    }

    @Test
    void duplicatesNameBothPlaces() throws IOException {
        assertEquals(
                """
                t.json: In struct 'Foo':
                t.json:2: 'Foo' is already defined
                t.json: In struct 'Foo':
                t.json:1: previous definition\
                """,
                error("{ 'struct': 'Foo', 'data': {} }\n{ 'struct': 'Foo', 'data': {} }"));
    }

    @Test
    void includeChainsAreShown() throws IOException {
        write("sub/b.json", "\n\n{ 'struct': 'Bb' }");
        write("a.json", "{ 'include': 'sub/b.json' }");
        assertEquals(
                """
                In file included from t.json:2:
                In file included from a.json:1:
                sub/b.json: In struct 'Bb':
                sub/b.json:3: struct misses key 'data'\
                """,
                error("\n{ 'include': 'a.json' }"));
    }

    @Test
    void allErrorsOfARunAreReported() throws IOException {
        String file =
                write(
                        "t.json",
                        "{ 'struct': 'foo', 'data': {} }\n{ 'enum': 'Ee' }\n"
                                + "{ 'struct': 'Good', 'data': {} }\n"
                                + "{ 'struct': 'Bar', 'data': { 'x': [] } }\n");
        InvalidSchemaException e =
                assertThrows(InvalidSchemaException.class, () -> SchemaLoader.load(file));
        assertEquals(List.of(1, 2, 4), e.errors().stream().map(x -> x.info().line()).toList());
        String broken = write("u.json", "{ 'a' }\n{ 'b': ! }\n{ 'struct': 'Aa', 'data': {} }\n{");
        InvalidSchemaException syntax =
                assertThrows(InvalidSchemaException.class, () -> SchemaLoader.load(broken));
        assertEquals(List.of(1, 2, 4), syntax.errors().stream().map(x -> x.info().line()).toList());
    }

    @Test
    void documentation() throws Exception {
        String start = "{ 'pragma': { 'doc-required': true } }\n##\n";
        String end = "##\n{ 'struct': 'Foo', 'data': { 'a': 'int' } }\n";
        assertEquals("t.json:3:1: line should end with ':'", error(start + "# @Foo\n" + end));
        assertEquals(
                "t.json: In struct 'Foo':\nt.json:7: documentation comment is for 'Bar'",
                error(start + "# @Bar:\n#\n# @a: x\n" + end));
        assertEquals(
                "t.json:6: documented member 'b' does not exist",
                error(start + "# @Foo:\n#\n# @a: y\n# @b: x\n" + end));
        assertEquals(
                "t.json: In struct 'Foo':\nt.json:2: documentation comment required",
                error("{ 'pragma': { 'doc-required': true } }\n{ 'struct': 'Foo', 'data': {} }"));
        Schema schema =
                load(
                        start
                                + "# @Foo:\n#\n# What it is.\n#\n# @a: first\n#     second\n#\n"
                                + "# Since: 1.0\n"
                                + end);
        DocComment doc = Objects.requireNonNull(schema.type("Foo").head().doc());
        assertEquals("What it is.", doc.sections().get(0).text());
        assertEquals(
                "first\nsecond",
                Objects.requireNonNull(doc.find(DocComment.Kind.MEMBER, "a")).text());
        assertEquals(DocComment.Kind.SINCE, doc.sections().get(2).kind());
    }

    @Test
    void model() throws Exception {
        write("sub.json", "# nothing\n");
        Schema schema =
                load(
                        """
                        { 'include': 'sub.json' }
                        { 'include': 'sub.json' }
                        { 'enum': 'Kind', 'prefix': 'KK',
                          'data': [ 'one', { 'name': '2', 'if': { 'not': 'A' },
                                             'features': ['unstable'] } ] }
                        { 'struct': 'Base', 'data': { 'kind': 'Kind' } }
                        { 'struct': 'One', 'base': 'Base',
                          'data': { '*list': ['size'], 'x': { 'type': 'Kind', 'if': 'B' } } }
                        { 'struct': 'Data', 'data': {} }
                        { 'union': 'Uni', 'base': 'Base', 'discriminator': 'kind',
                          'data': { 'one': 'Data' } }
                        { 'command': 'do-it', 'data': 'Uni', 'boxed': true, 'returns': ['One'],
                          'allow-oob': true, 'allow-preconfig': true }
                        { 'event': 'DONE', 'data': { 'a': 'str' } }
                        """);
        assertEquals(List.of("sub.json", "sub.json"), schema.modules().get(0).includes());
        assertEquals(2, schema.modules().size());
        assertEquals(
                List.of("kind", "list", "x"),
                schema.commonMembers("One").stream().map(m -> m.name()).toList());
        assertEquals(new TypeRef("size", true), schema.commonMembers("One").get(1).type());
        assertEquals(BuiltinType.SIZE, Schema.builtin("size").orElseThrow());
        Definition.UnionType union =
                assertInstanceOf(Definition.UnionType.class, schema.type("Uni"));
        Definition.EnumType kind = schema.discriminatorType(union);
        assertEquals("KK", kind.prefix());
        assertEquals(
                new Condition.Not(new Condition.Symbol("A")), kind.values().get(1).condition());
        Definition.Command command =
                assertInstanceOf(Definition.Command.class, schema.find("do-it").orElseThrow());
        assertEquals(new TypeRef("One", true), command.returns());
        assertEquals("Uni", command.arguments().type());
    }

    @Test
    void ourOwnSchemaIsSound() throws Exception {
        Schema schema = SchemaLoader.load("src/main/qapi/lockstep.json");
        for (String command : List.of("migrate", "blockdev-add", "x-colo-lost-heartbeat")) {
            assertInstanceOf(Definition.Command.class, schema.find(command).orElseThrow());
        }
    }
}
