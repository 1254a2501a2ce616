package lockstep.devices.e1000;

import static org.junit.jupiter.api.Assertions.assertTrue;

import lockstep.devices.Sections;
import lockstep.runtime.memory.GuestMemory;
import lockstep.runtime.testmachine.TestMachine;

import org.junit.jupiter.api.AutoClose;
import org.junit.jupiter.api.Test;

import java.util.Random;

/** Registers, rings and frames that make no sense: nothing throws, everything ends. */
class E1000HostileTest {
    private static final int[] INTERESTING = {
        E1000Spec.CTRL,
        E1000Spec.EECD,
        E1000Spec.EERD,
        E1000Spec.MDIC,
        E1000Spec.ICR,
        E1000Spec.ICS,
        E1000Spec.IMS,
        E1000Spec.RCTL,
        E1000Spec.TCTL,
        E1000Spec.RDBAL,
        E1000Spec.RDLEN,
        E1000Spec.RDH,
        E1000Spec.RDT,
        E1000Spec.TDBAL,
        E1000Spec.TDLEN,
        E1000Spec.TDH,
        E1000Spec.TDT,
        E1000Spec.RDTR,
        E1000Spec.TADV,
        E1000Spec.RA,
        E1000Spec.RA + 1
    };

    @AutoClose private final TestMachine machine = TestMachine.ofRam(1 << 20);
    private final GuestMemory memory = machine.dma();

    @Test
    void anythingGoes() {
        Random random = new Random(20261123);
        E1000Chip chip = new E1000Chip(new QuietBoard(), memory, new byte[6], 0x100e);
        byte[] frame = new byte[20000];
        for (int round = 0; round < 1000; round++) {
            random.nextBytes(frame);
            memory.write(random.nextInt(1 << 16), frame, 0, 4096);
            for (int i = 0; i < 20; i++) {
                int register =
                        random.nextInt(4) == 0
                                ? random.nextInt(E1000Spec.REGISTERS)
                                : INTERESTING[random.nextInt(INTERESTING.length)];
                int value =
                        switch (random.nextInt(3)) {
                            case 0 -> random.nextInt();
                            case 1 -> random.nextInt(1 << 16);
                            default -> 1 << random.nextInt(32);
                        };
                chip.write(register, value);
                chip.read(register);
            }
            chip.registers[E1000Spec.RCTL] |= E1000Spec.RCTL_EN | E1000Spec.RCTL_UPE;
            chip.receiver.configure();
            chip.receiver.receive(frame, 0, random.nextInt(frame.length));
            if (random.nextInt(50) == 0) {
                chip.mitigationOver();
                chip.negotiated();
            }
        }
        assertTrue(chip.read(E1000Spec.STATUS) != 0);
    }

    @Test
    void aLoadedStateOfNoiseIsRefusedOrHarmless() throws Exception {
        Random random = new Random(7);
        byte[] noise = new byte[198785 - 276];
        for (int round = 0; round < 40; round++) {
            E1000Chip chip = new E1000Chip(new QuietBoard(), memory, new byte[6], 0x100e);
            byte[] bytes = Sections.save("e1000", c -> E1000State.describe(c, chip));
            random.nextBytes(noise);
            // The plain fields up to the first subsection.
            int end = 66_600 + random.nextInt(700);
            for (int i = 0; i < end; i++) {
                if (random.nextInt(4) == 0) {
                    bytes[i] = noise[i];
                }
            }
            bytes[4] = 0;
            bytes[5] = 0;
            bytes[6] &= 0x1f;
            bytes[8] = 0;
            bytes[9] = 0;
            bytes[10] = 0;
            bytes[11] &= 3;
            try {
                Sections.load("e1000", bytes, c -> E1000State.describe(c, chip));
            } catch (lockstep.runtime.vmstate.StateException refused) {
                continue;
            }
            chip.loaded();
            chip.write(E1000Spec.TCTL, E1000Spec.TCTL_EN);
            chip.write(E1000Spec.TDT, random.nextInt(1 << 16));
            chip.receiver.receive(noise, 0, 1500);
            chip.read(E1000Spec.ICR);
        }
    }

    private static final class QuietBoard implements E1000Chip.Board {
        @Override
        public void interrupt(boolean level) {}

        @Override
        public void send(byte[] frame, int offset, int length) {
            assertTrue(length >= 14 && length <= Transmitter.MAX_FRAME + 4);
        }

        @Override
        public void flush() {}

        @Override
        public boolean heldBack() {
            return false;
        }

        @Override
        public void transmitLater() {}

        @Override
        public boolean busMaster() {
            return true;
        }

        @Override
        public boolean cable() {
            return true;
        }

        @Override
        public void addressChanged(byte[] mac) {}

        @Override
        public void mitigate(long nanos) {}

        @Override
        public void negotiate(long nanos) {}
    }
}
