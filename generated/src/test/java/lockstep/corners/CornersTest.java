package lockstep.corners;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import lockstep.qmp.JsonInputVisitor;
import lockstep.qmp.JsonNull;
import lockstep.qmp.JsonObject;
import lockstep.qmp.JsonOutputVisitor;
import lockstep.qmp.JsonStreamParser;
import lockstep.qmp.JsonString;
import lockstep.qmp.JsonValue;
import lockstep.qmp.QmpException;
import lockstep.qmp.ValueReader;

import org.junit.jupiter.api.Test;

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
        assertEquals("STOP_IT", new StopItEvent("x", null).eventName());
    }
}
