package lockstep.qmp;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

/** Member order and layout, as transcripts of a real QEMU have them. */
class JsonPrinterTest {
    private static String ordered(String... names) {
        JsonObject object = new JsonObject();
        for (String name : names) {
            object.put(name, 1);
        }
        return String.join(
                " ", object.inWireOrder().stream().map(java.util.Map.Entry::getKey).toList());
    }

    @Test
    void membersComeInTheOrderOfTheirBuckets() {
        assertEquals("status running", ordered("running", "status"));
        assertEquals("status singlestep running", ordered("running", "singlestep", "status"));
        assertEquals("micro minor major", ordered("major", "minor", "micro"));
        assertEquals("timestamp event data", ordered("event", "data", "timestamp"));
        assertEquals("return id", ordered("return", "id"));
        assertEquals("id error", ordered("error", "id"));
        assertEquals("class desc", ordered("class", "desc"));
        assertEquals("last-mode mode reason", ordered("mode", "last-mode", "reason"));
        assertEquals("frontend-open filename label", ordered("label", "filename", "frontend-open"));
        assertEquals("guest reason", ordered("guest", "reason"));
        assertEquals("state capability", ordered("capability", "state"));
        assertEquals("name state", ordered("name", "state"));
    }

    @Test
    void prettyIndentsByFourAndBreaksEmptyObjects() throws QmpException {
        JsonValue value = JsonStreamParser.parse("{'return': {'a': [1, {}]}}");
        assertEquals(
                """
                {
                    "return": {
                        "a": [
                            1,
                            {
                            }
                        ]
                    }
                }\
                """,
                JsonPrinter.pretty(value));
        assertEquals("{\"return\": {\"a\": [1, {}]}}", JsonPrinter.compact(value));
    }
}
