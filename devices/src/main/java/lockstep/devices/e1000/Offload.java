package lockstep.devices.e1000;

import static lockstep.devices.e1000.E1000Spec.*;
import static lockstep.runtime.memory.BigEndian.get16;
import static lockstep.runtime.memory.BigEndian.put16;

import lockstep.net.wire.Checksum;
import lockstep.runtime.memory.GuestMemory;

/** Where checksums and segmentation apply: what the last context descriptor said (manual, 3.3.6). */
final class Offload {
    int ipcss;
    int ipcso;
    int ipcse;
    int tucss;
    int tucso;
    int tucse;
    int paylen;
    int hdrLen;
    int mss;
    boolean ip;
    boolean tcp;

    /** Takes over a context descriptor in guest memory. */
    void load(GuestMemory memory, long at) {
        int ipWord = memory.readInt(at);
        int tuWord = memory.readInt(at + 4);
        int command = memory.readInt(at + 8);
        int sizes = memory.readInt(at + 12);
        ipcss = ipWord & 0xff;
        ipcso = ipWord >>> 8 & 0xff;
        ipcse = ipWord >>> 16;
        tucss = tuWord & 0xff;
        tucso = tuWord >>> 8 & 0xff;
        tucse = tuWord >>> 16;
        paylen = command & 0xfffff;
        hdrLen = sizes >>> 8 & 0xff;
        mss = sizes >>> 16;
        ip = (command & TXC_IP) != 0;
        tcp = (command & TXC_TCP) != 0;
    }

    void reset() {
        ipcss = 0;
        ipcso = 0;
        ipcse = 0;
        tucss = 0;
        tucso = 0;
        tucse = 0;
        paylen = 0;
        hdrLen = 0;
        mss = 0;
        ip = false;
        tcp = false;
    }

    /**
     * Puts the Internet checksum (RFC 1071) of a range into a frame; does nothing if the place of the sum
     * lies outside it.
     *
     * @param size bytes of the frame
     * @param place where the sum goes
     * @param first where the range starts
     * @param last its last byte, or 0 for the frame's end
     */
    static void checksum(byte[] frame, int size, int place, int first, int last) {
        int end = last != 0 && last < size ? last + 1 : size;
        if (place >= end - 1) {
            return;
        }
        long sum = Checksum.sum(frame, first, Math.max(0, end - first));
        put16(frame, place, Checksum.fold(sum));
    }

    /**
     * Turns the template in {@code frame} into segment number {@code segment} of a large send.
     *
     * @return whether this is the last one of several
     */
    boolean segment(byte[] frame, int size, int segment, int options) {
        // Offsets come from the guest: each field is only touched if it lies in the frame.
        if (ip) {
            if (ipcss + 6 <= size) {
                put16(frame, ipcss + 2, size - ipcss);
                put16(frame, ipcss + 4, get16(frame, ipcss + 4) + segment);
            }
        } else if (ipcss + 6 <= size) {
            put16(frame, ipcss + 4, size - ipcss);
        }
        int length = Math.max(0, size - tucss);
        boolean last = false;
        if (tcp) {
            long sofar = (long) segment * mss;
            if (tucss + 14 <= size) {
                int sequence = get16(frame, tucss + 4) << 16 | get16(frame, tucss + 6);
                sequence += (int) sofar;
                put16(frame, tucss + 4, sequence >>> 16);
                put16(frame, tucss + 6, sequence);
                if (paylen - sofar > mss) {
                    // PSH and FIN belong to the last segment only.
                    frame[tucss + 13] &= ~9;
                } else {
                    last = segment != 0;
                }
            }
        } else if (tucss + 6 <= size) {
            put16(frame, tucss + 4, length);
        }
        if ((options & POPTS_TXSM) != 0 && tucso + 2 <= size) {
            // The pseudo header's sum came without the length.
            put16(frame, tucso, ~Checksum.fold((long) get16(frame, tucso) + length));
        }
        return last;
    }
}
