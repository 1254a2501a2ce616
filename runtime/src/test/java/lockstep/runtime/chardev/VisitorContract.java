package lockstep.runtime.chardev;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

/** What {@link Chardev} promises of a back end whose peers come and go. */
abstract class VisitorContract extends PeerContract {
    @Test
    void everyPeerIsAnnouncedOnceAndLeavesOnce() throws Exception {
        Chardev device = make();
        Heard heard = new Heard(mainLoop);
        heard.allow(1000);
        Chardev.Attachment attachment = attach(device, heard, mainLoop);
        for (int i = 1; i <= 2; i++) {
            try (Peer p = peer(device)) {
                heard.awaitOpened(i);
                assertTrue(attachment.connected());
                p.write(new byte[10]);
                heard.awaitSize(10 * i);
                assertEquals(
                        i + " opened, " + (i - 1) + " closed, " + 10 * i + " bytes []",
                        heard.story());
            }
            heard.awaitClosed(i);
        }
        settle();
        assertStory("2 closed, 20 bytes []", heard);
    }

    @Test
    void aPeerThatWasThereBeforeIsAnnouncedToo() throws Exception {
        Chardev device = make();
        Peer p = peer(device);
        Heard first = new Heard(mainLoop);
        Chardev.Attachment attachment = attach(device, first, mainLoop);
        first.awaitOpened(1);
        detach(attachment, mainLoop);
        Heard second = new Heard(mainLoop);
        second.allow(1); // One that is full need not see the end of its input.
        attach(device, second, mainLoop);
        second.awaitOpened(1);
        p.close();
        second.awaitClosed(1);
        settle();
        assertEquals("1 opened, 0 closed, 0 bytes []", first.story());
        assertStory("1 closed, 0 bytes []", second);
    }

    /** A device that connects may have its next peer already. */
    private static void assertStory(String end, Heard heard) {
        assertTrue(heard.story().endsWith(end), heard::story);
    }
}
