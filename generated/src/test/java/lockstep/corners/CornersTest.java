package lockstep.corners;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.qmp.JsonInputVisitor;
import lockstep.qmp.JsonNull;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonOutputVisitor;
import lockstep.qmp.JsonStreamParser;
import lockstep.qmp.JsonString;
import lockstep.qmp.JsonValue;
import lockstep.qmp.KeyvalInputVisitor;
import lockstep.qmp.KeyvalText;
import lockstep.qmp.QmpException;
import lockstep.qmp.StreamCodec;
import lockstep.qmp.ValueReader;

import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/** Types generated from a schema that is as awkward as the language allows. */
class CornersTest {
    private static final String WORDS =
            "{'abstract':1,'class':'c','hash-code':2,'name':'n','visitor':'v','data':'d',"
                    + "'build':'b','read':'r','write':3,'result':4,'value':[5],'this':6,"
                    + "'any':[7],'builder':8,'to':['t'],'element':9.5,'key':10";

    private static <T> T read(ValueReader<T> reader, String text) throws QmpException {
        return reader.read(new JsonInputVisitor(JsonStreamParser.parse(text)), null);
    }

    @Test
    void nullIsNotAbsence() throws QmpException {
        Words without = read(Words::read, WORDS + "}");
        assertNull(without.strOrNull());
        assertNull(without.null_());
        Words with = read(Words::read, WORDS + ",'StrOrNull':null,'null':null,'l':['2d']}");
        assertEquals(new StrOrNull.N(JsonNull.NULL), with.strOrNull());
        assertEquals(JsonNull.NULL, with.null_());
        assertEquals(List.of(Kk._2D), with.l());
        JsonValue again = JsonOutputVisitor.toJson(with, Words::write);
        assertEquals(with, Words.read(new JsonInputVisitor(again), null));
    }

    @Test
    void unionsInsideUnions() throws QmpException {
        String text =
                "{'kind':'u','more':{'kind':'inner','type':'2d','str':'x'},'s':{'str':'y'},"
                        + "'list':[{'type':'default'}]}";
        Uu.U outer = assertInstanceOf(Uu.U.class, read(Uu::read, text));
        Uu.Inner inner = assertInstanceOf(Uu.Inner.class, outer.branchData().more());
        assertEquals("x", assertInstanceOf(Inner._2d.class, inner.branchData()).data().str());
        assertInstanceOf(Inner.Default.class, outer.branchData().list().getFirst());
        assertEquals(JsonStreamParser.parse(text), JsonOutputVisitor.toJson(outer, Uu::write));
        QmpException e =
                assertThrows(
                        QmpException.class,
                        () -> read(Uu::read, "{'kind':'enum','str':'not of this branch'}"));
        assertEquals("Parameter 'str' is unexpected", e.description());
    }

    @Test
    void whatSharesABaseIsHandledOnce() throws QmpException {
        Leaf leaf = read(Leaf::read, "{'n':1,'class':'c','m':true}");
        Fruit fruit = read(Fruit::read, "{'n':2,'kind':'2d','stem':{'n':3,'m':false}}");
        Stem stem = assertInstanceOf(Fruit._2d.class, fruit).data().stem();
        List<RootMembers_> all = List.of(leaf, fruit, stem);
        assertEquals(List.of(1L, 2L, 3L), all.stream().map(RootMembers_::n).toList());
        List<StemMembers> stems = List.of(leaf, stem);
        assertEquals(List.of(true, false), stems.stream().map(StemMembers::m).toList());
        assertEquals("c", leaf.class_());
    }

    @Test
    void alternatesWithAnArray() throws QmpException {
        assertEquals(new Stats.Scalar(5), read(Stats::read, "5"));
        assertEquals(new Stats.B(true), read(Stats::read, "true"));
        assertEquals(new Stats.ListValue(List.of(1L, 2L)), read(Stats::read, "[1,2]"));
        assertThrows(QmpException.class, () -> read(Stats::read, "{}"));
    }

    @Test
    void clientsSurviveWhatTheSchemaLacks() throws QmpException {
        String text =
                "{'kind':'u','more':{'kind':'novel','data':'d','x':[1]},'s':{'str':'y','new':2},"
                        + "'list':[{'type':'k'},{'type':'newer'}]}";
        assertThrows(QmpException.class, () -> read(Uu::read, text));
        JsonInputVisitor visitor = JsonInputVisitor.lenient(JsonStreamParser.parse(text));
        Uu.U outer = assertInstanceOf(Uu.U.class, Uu.read(visitor, null));
        assertEquals("y", outer.branchData().s().str());
        Uu.Unrecognized more = assertInstanceOf(Uu.Unrecognized.class, outer.branchData().more());
        assertEquals(Tt.UNRECOGNIZED, more.kind());
        assertEquals("d", more.data());
        assertEquals(new JsonString("novel"), more.branchData().get("kind"));
        assertInstanceOf(Inner.Unrecognized.class, outer.branchData().list().get(1));
        assertEquals(
                List.of("more.kind", "more.x", "s.new", "list[1].type"),
                List.copyOf(visitor.unrecognized().keySet()));
        assertEquals(JsonStreamParser.parse("2"), visitor.unrecognized().get("s.new"));
        assertThrows(IllegalStateException.class, () -> JsonOutputVisitor.toJson(more, Uu::write));

        JsonValue object = JsonStreamParser.parse("{'a':1}");
        assertEquals(
                new Stats.Unrecognized(object), Stats.read(JsonInputVisitor.lenient(object), null));
        assertInstanceOf(
                NamedEvent.class,
                Event.read(
                        "NAMED", (JsonObject) JsonStreamParser.parse(WORDS + ",'future':true}")));
    }

    @Test
    void serversRejectWhatTheSchemaLacks() {
        assertEquals("Parameter 'null' does not accept value ''", error(Kk::read, "''"));
        assertEquals(
                "Parameter 'type' does not accept value 'UNRECOGNIZED'",
                error(Inner::read, "{'type':'UNRECOGNIZED'}"));
        assertEquals(
                "Invalid parameter type for 'null', expected: Stats", error(Stats::read, "{}"));
        assertEquals(List.of(Kk._2D, Kk.DEFAULT, Kk.A_B, Kk.STRING, Kk.GONE, Kk.K), Kk.known());
    }

    private static <T> String error(ValueReader<T> reader, String text) {
        return assertThrows(QmpException.class, () -> read(reader, text)).description();
    }

    @Test
    void namesThatMeetInJavaAreKeptApart() throws QmpException {
        Twins twins = read(Twins::read, "{'fooBar':1,'foo-bar':18446744073709551615}");
        assertEquals(1, twins.fooBar());
        assertEquals(-1, twins.fooBar_());
        assertEquals(
                "{'fooBar': 1, 'foo-bar': 18446744073709551615}".replace('\'', '"'),
                new String(StreamCodec.write(twins, Twins::write), StandardCharsets.UTF_8)
                        .replace(":", ": ")
                        .replace(",", ", "));
        // A type keeps its name; the event and the arguments that would have it yield.
        assertEquals("STOP_IT", new StopItEvent_("x", null).eventName());
        assertEquals("a", new TwinsArguments("a").a());
        assertEquals(List.of(), new TwinsArguments_(List.of(), null).twins());
        assertEquals(Odd.UNRECOGNIZED_, read(Odd::read, "'unrecognized'"));
        RegisterArguments arguments =
                read(RegisterArguments::read, "{'kind':'qnull','table':'t','handler':2}");
        assertEquals(QType.QNULL, arguments.kind());
    }

    @Test
    void keyvalTextFillsTheSameTypes() throws QmpException {
        String text =
                "kind=u,more.kind=inner,more.type=2d,more.str=x,,y,s.str=,list.0.type=k,"
                        + "list.1.type=default";
        Uu.U outer = assertInstanceOf(Uu.U.class, keyval(Uu::read, text, "kind"));
        assertEquals(
                JsonStreamParser.parse(
                        "{'kind':'u','more':{'kind':'inner','type':'2d','str':'x,y'},"
                                + "'s':{'str':''},'list':[{'type':'k'},{'type':'default'}]}"),
                JsonOutputVisitor.toJson(outer, Uu::write));
        assertEquals(
                outer, keyval(Uu::read, text.substring("kind=".length()), "kind"), "implied key");
        Twins twins = keyval(Twins::read, "fooBar=0x10,foo-bar=18446744073709551615", null);
        assertEquals(new Twins(16, -1, null, null, null), twins);
        assertEquals(
                "Parameter 'more.kind' is missing",
                assertThrows(
                                QmpException.class,
                                () -> keyval(Uu::read, "kind=u,more.type=2d", null))
                        .description());
    }

    private static <T> T keyval(ValueReader<T> reader, String text, @Nullable String implied)
            throws QmpException {
        JsonObject tree = KeyvalText.parse(text, implied);
        return reader.read(new KeyvalInputVisitor(tree, KeyvalInputVisitor.Style.KEYVAL), null);
    }

    @Test
    void featuresAreAnnotations() throws NoSuchMethodException {
        assertTrue(Twins.class.getMethod("old").isAnnotationPresent(Deprecated.class));
        assertFalse(Twins.class.getMethod("fresh").isAnnotationPresent(Deprecated.class));
    }

    @Test
    void conditionsDecideWhatIsThere() {
        assertNotNull(Kk.find("gone"));
        assertThrows(ClassNotFoundException.class, () -> Class.forName("lockstep.corners.Gone"));
    }

    @Test
    void buildersCopyAndCheck() {
        List<Inner> list = new ArrayList<>();
        Words2 built =
                Words2.builder()
                        .more(Uu.ListValue.builder().build())
                        .s(new StringValue("s"))
                        .list(list)
                        .build();
        list.add(new Inner.Default());
        assertEquals(0, built.list().size());
        assertThrows(IllegalStateException.class, () -> Words2.builder().build());
    }

    @Test
    void commandFlags() {
        assertFalse(CornersCommands.BOXED.successResponse());
        assertEquals("raw", CornersCommands.RAW.name());
        assertEquals("STOP_IT", new StopItEvent_("x", null).eventName());
    }
}
