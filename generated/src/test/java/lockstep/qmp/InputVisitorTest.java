package lockstep.qmp;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import lockstep.api.BlockdevOptions;
import lockstep.api.BlockdevRef;
import lockstep.api.ChardevAddArguments;
import lockstep.api.DeviceDelArguments;
import lockstep.api.MigrateSetCapabilitiesArguments;
import lockstep.api.MigrateSetParameters;
import lockstep.api.ObjectOptions;
import lockstep.api.QmpCapabilitiesArguments;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Generated types filled from JSON and from key=value text, with QEMU's error texts. */
class InputVisitorTest {
    private static <T> T json(ValueReader<T> reader, String text) throws QmpException {
        return reader.read(new JsonInputVisitor(JsonStreamParser.parse(text)), null);
    }

    private static String error(ValueReader<?> reader, String text) {
        return assertThrows(QmpException.class, () -> json(reader, text)).description();
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "{'capabilities':[{'capability':'x-colo'}]}"
                        + " | Parameter 'capabilities[0].state' is missing",
                "{'capabilities':[5]}"
                        + " | Invalid parameter type for 'capabilities[0]', expected: object",
                "{'capabilities':5} | Invalid parameter type for 'capabilities', expected: array",
                "{'capabilities':[{'capability':'nosuch','state':true}]}"
                        + " | Parameter 'capability' does not accept value 'nosuch'",
                "{'capabilities':[{'capability':'x-colo','state':'on'}]} | Invalid parameter type"
                        + " for 'capabilities[0].state', expected: boolean",
                "{} | Parameter 'capabilities' is missing",
                "{'capabilities':[],'x':1} | Parameter 'x' is unexpected",
            })
    void lists(String text, String expected) {
        assertEquals(expected, error(MigrateSetCapabilitiesArguments::read, text));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "'5' | Parameter 'x-checkpoint-delay' expects uint64",
                "1.5 | Parameter 'x-checkpoint-delay' expects uint64",
                "-1 | Parameter 'x-checkpoint-delay' expects uint32_t",
                "4294967296 | Parameter 'x-checkpoint-delay' expects uint32_t",
            })
    void integers(String value, String expected) {
        assertEquals(
                expected,
                error(MigrateSetParameters::read, "{'x-checkpoint-delay':" + value + "}"));
    }

    @Test
    void enumerationsInListsHaveNoName() {
        assertEquals(
                "Parameter 'null' does not accept value 'foo'",
                error(QmpCapabilitiesArguments::read, "{'enable':['foo']}"));
        assertEquals(
                "Invalid parameter type for 'enable', expected: array",
                error(QmpCapabilitiesArguments::read, "{'enable':'oob'}"));
        assertEquals(
                "Invalid parameter type for 'id', expected: string",
                error(DeviceDelArguments::read, "{'id':5}"));
    }

    @Test
    void pathsThroughUnions() {
        assertEquals(
                "Parameter 'backend.data.addr.data.port' is missing",
                error(
                        ChardevAddArguments::read,
                        "{'id':'c','backend':{'type':'socket','data':{'addr':{'type':'inet',"
                                + "'data':{'host':'h'}}}}}"));
        assertEquals(
                "Parameter 'qom-type' does not accept value 'filter-nosuch'",
                error(ObjectOptions::read, "{'qom-type':'filter-nosuch','id':'a'}"));
        assertEquals(
                "Invalid parameter type for 'status', expected: string",
                error(
                        ObjectOptions::read,
                        "{'qom-type':'filter-mirror','id':'a','netdev':'n','outdev':'o',"
                                + "'status':true}"));
    }

    @Test
    void alternatesAreChosenByType() throws QmpException {
        String quorum =
                "{'driver':'quorum','node-name':'q','vote-threshold':1,'children':['a',"
                        + "{'driver':'null-co','node-name':'n'}]}";
        BlockdevOptions.Quorum read =
                assertInstanceOf(BlockdevOptions.Quorum.class, json(BlockdevOptions::read, quorum));
        assertEquals("q", read.nodeName());
        assertEquals(1, read.data().voteThreshold());
        assertEquals(
                "a",
                assertInstanceOf(BlockdevRef.Reference.class, read.data().children().getFirst())
                        .value());
        assertInstanceOf(BlockdevRef.Definition.class, read.data().children().getLast());
        JsonValue again = JsonOutputVisitor.toJson(read, BlockdevOptions::write);
        assertEquals(JsonStreamParser.parse(quorum), again);
        assertEquals(
                "Invalid parameter type for 'file', expected: BlockdevRef",
                error(BlockdevOptions::read, "{'driver':'raw','file':5}"));
    }

    @Test
    void dottedKeysBuildTheTree() throws QmpException {
        JsonObject tree =
                KeyvalText.parse(
                        "quorum,node-name=q,,1,vote-threshold=0x1,read-pattern=fifo,"
                                + "children.0.driver=raw,children.0.file.driver=file,"
                                + "children.0.file.filename=/a,children.1=b",
                        "driver");
        BlockdevOptions.Quorum quorum =
                assertInstanceOf(
                        BlockdevOptions.Quorum.class,
                        BlockdevOptions.read(
                                new KeyvalInputVisitor(tree, KeyvalInputVisitor.Style.KEYVAL),
                                null));
        assertEquals("q,1", quorum.nodeName());
        assertEquals(2, quorum.data().children().size());
        assertNull(quorum.readOnly());
    }

    private static String keyval(KeyvalInputVisitor.Style style, String text) {
        return assertThrows(
                        QmpException.class,
                        () ->
                                ObjectOptions.read(
                                        new KeyvalInputVisitor(
                                                KeyvalText.parse(text, "qom-type"), style),
                                        null))
                .description();
    }

    @Test
    void unexpectedKeys() {
        String text = "filter-mirror,id=a,netdev=n,outdev=o,bogus=1";
        assertEquals("Invalid parameter 'bogus'", keyval(KeyvalInputVisitor.Style.OPTIONS, text));
        assertEquals(
                "Parameter 'bogus' is unexpected", keyval(KeyvalInputVisitor.Style.KEYVAL, text));
        assertEquals(
                "Parameter 'netdev' is missing",
                keyval(KeyvalInputVisitor.Style.OPTIONS, "filter-mirror,id=a"));
        assertEquals(
                "Parameter 'vnet_hdr_support' expects 'on' or 'off'",
                keyval(
                        KeyvalInputVisitor.Style.OPTIONS,
                        "filter-mirror,id=a,netdev=n,outdev=o,vnet_hdr_support=maybe"));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "iothread,id=a,poll-max-ns=x | Parameter 'poll-max-ns' expects an int64 value",
                "iothread,id=a,bogus.b=1 | Invalid parameter 'bogus.b'",
                "filter-buffer,id=a,netdev=n,interval=-1"
                        + " | Parameter 'interval' expects a uint64 value",
                "filter-buffer,id=a,netdev=n,interval=4294967296"
                        + " | Parameter 'interval' expects uint32_t",
            })
    void optionTexts(String text, String expected) {
        assertEquals(expected, keyval(KeyvalInputVisitor.Style.OPTIONS, text));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "driver=raw,file.driver=file | Parameter 'file.filename' is missing",
                "driver=null-co,size=x | Parameter 'size' expects integer",
                "driver=null-co,cache=on | Invalid parameter type for 'cache', expected: object",
                "driver=null-co,read-only.0=on | Parameters 'read-only.*' are unexpected",
                "driver=quorum,vote-threshold=1,children=a"
                        + " | Invalid parameter type for 'children', expected: array",
                "driver=nbd,server.type=inet,server.host=h,server.port=1,server.ipv4=maybe"
                        + " | Parameter 'server.ipv4' expects 'on' or 'off'",
                "driver=quorum,vote-threshold=1,children.0=a,children.1.driver=null-co,"
                        + "children.1.x=1 | Parameter 'children.1.x' is unexpected",
            })
    void keyvalTexts(String text, String expected) {
        QmpException e =
                assertThrows(
                        QmpException.class,
                        () ->
                                BlockdevOptions.read(
                                        new KeyvalInputVisitor(
                                                KeyvalText.parse(text, "driver"),
                                                KeyvalInputVisitor.Style.KEYVAL),
                                        null));
        assertEquals(expected, e.description());
    }
}
