package lockstep.devices.serial;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

import java.util.ArrayList;
import java.util.List;

final class UartTest {
    private final List<Integer> sent = new ArrayList<>();
    private boolean ready = true;
    private final Uart uart =
            new Uart(
                    new Uart.Line() {
                        @Override
                        public boolean ready() {
                            return ready;
                        }

                        @Override
                        public void send(int character) {
                            sent.add(character);
                        }
                    },
                    115_200);

    @Test
    void transmitterInterruptsWhenEmpty() {
        uart.write(1, 0x02);
        assertTrue(uart.irq(), "THR is empty when its interrupt is enabled");
        assertEquals(0x02, uart.read(2) & 0x0f);
        assertFalse(uart.irq(), "reading IIR acknowledges");
        uart.write(0, 'A');
        assertTrue(uart.irq());
        assertEquals(List.of((int) 'A'), sent);
    }

    @Test
    void fullLineHoldsCharactersBack() {
        ready = false;
        uart.write(2, 0x01);
        uart.write(0, 'A');
        uart.write(0, 'B');
        assertEquals(0, uart.read(5) & 0x60, "neither THR nor shifter is empty");
        ready = true;
        uart.sent();
        assertEquals(List.of((int) 'A', (int) 'B'), sent);
        assertEquals(0x60, uart.read(5) & 0x60);
    }

    @Test
    void receiverInterruptsAtItsTriggerOrAfterATimeout() {
        uart.write(2, 0x41);
        uart.write(1, 0x01);
        for (int i = 0; i < 3; i++) {
            uart.received(i);
        }
        assertFalse(uart.irq(), "three of four");
        uart.timeout();
        assertTrue(uart.irq());
        assertEquals(0x0c, uart.read(2) & 0x0f);
        assertEquals(0, uart.read(0));
        assertFalse(uart.irq());
        uart.received(3);
        uart.received(4);
        assertTrue(uart.irq(), "four");
        assertEquals(12, uart.space());
    }

    @Test
    void overrunIsReportedOnce() {
        uart.received('x');
        assertEquals(0, uart.space());
        uart.received('y');
        assertEquals(0x03, uart.read(5) & 0x03);
        assertEquals('y', uart.read(0));
        assertEquals(0x00, uart.read(5) & 0x03);
    }

    @Test
    void loopbackReturnsWhatIsSent() {
        uart.write(4, 0x1f);
        uart.write(0, 'L');
        assertEquals('L', uart.read(0));
        assertEquals(List.of(), sent);
        assertEquals(0xf0, uart.read(6), "all modem inputs follow the outputs");
    }
}
