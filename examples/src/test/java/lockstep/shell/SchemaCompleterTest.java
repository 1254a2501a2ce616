package lockstep.shell;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.util.Arrays;
import java.util.List;

/** What TAB offers, by our own schema. */
class SchemaCompleterTest {
    private static final Schema SCHEMA = Schema.own();

    /** The offers that go on from the last word of a line. */
    private static List<String> offers(String line) {
        List<String> words = Arrays.asList(line.split(" ", -1));
        String word = words.getLast();
        return SchemaCompleter.complete(SCHEMA, words.subList(0, words.size() - 1), word).stream()
                .filter(offer -> offer.startsWith(word))
                .toList();
    }

    @Test
    void commandsAreOffered() {
        assertEquals(List.of("query-status"), offers("query-statu"));
        assertEquals(List.of("query-status"), offers("help query-statu"));
        assertEquals(List.of("query-yank"), offers("exec-oob query-ya"));
        assertEquals(List.of("hmp"), offers("hm"));
    }

    @Test
    void argumentsAreOfferedUntilGiven() {
        assertEquals(List.of("node-name="), offers("blockdev-del "));
        assertEquals(List.of(), offers("blockdev-del node-name=x "));
    }

    @Test
    void valuesAreOffered() {
        assertTrue(offers("blockdev-add driver=").contains("driver=null-co"));
        assertEquals(
                List.of("read-only=true", "read-only=false"), offers("blockdev-add read-only="));
        assertEquals(List.of(), offers("device_del id="));
    }

    @Test
    void theBranchThatWasChosenOffersItsMembers() {
        assertFalse(offers("blockdev-add ").contains("size="));
        assertTrue(offers("blockdev-add driver=null-co ").contains("size="));
        assertEquals(
                List.of("backend.data.addr."),
                offers("chardev-add id=c backend.type=socket backend.data.addr"));
        assertEquals(
                List.of("backend.data.addr.data.path="),
                offers(
                        "chardev-add backend.type=socket backend.data.addr.type=unix"
                                + " backend.data.addr.data.pa"));
    }

    @Test
    void listsOfferTheNextIndex() {
        assertEquals(List.of("capabilities.0."), offers("migrate-set-capabilities capabilities."));
        assertEquals(
                List.of("capabilities.1."),
                offers("migrate-set-capabilities capabilities.0.state=true capabilities."));
        assertTrue(
                offers("migrate-set-capabilities capabilities.0.capability=x-")
                        .contains("capabilities.0.capability=x-colo"));
    }
}
