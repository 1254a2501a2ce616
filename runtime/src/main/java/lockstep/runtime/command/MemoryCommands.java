package lockstep.runtime.command;

import lockstep.qmp.QmpException;
import lockstep.runtime.machine.CpuRegisters;
import lockstep.runtime.machine.EmptyBoard;
import lockstep.runtime.machine.Machine;
import lockstep.runtime.machine.PhysicalMemory;
import lockstep.runtime.memory.AddressSpace;
import lockstep.runtime.memory.PageTables;
import lockstep.runtime.monitor.HmpArguments;
import lockstep.runtime.monitor.HmpTable;
import lockstep.runtime.process.VmmProcess;

import org.jspecify.annotations.Nullable;

import java.util.Arrays;
import java.util.OptionalLong;
import java.util.function.BiConsumer;

/**
 * Commands of the human monitor that look at the guest's memory as a debugger does, by physical
 * addresses or by those of the chosen processor. One command shows a bounded piece, as everything else
 * waits while it runs.
 */
final class MemoryCommands {
    /** The most bytes that one dump shows. */
    private static final int LONGEST_DUMP = 1 << 20;

    /** The most bytes that one checksum covers. */
    private static final long LONGEST_SUM = 256L << 20;

    private static final String HEXADECIMAL = "0123456789abcdef";

    private final VmmProcess vmm;
    private int cpu;

    MemoryCommands(VmmProcess vmm) {
        this.vmm = vmm;
    }

    void register(HmpTable t) {
        t.registers(this::register);
        t.add(
                "xp",
                "fmt:/,addr:l",
                "/fmt addr",
                "physical memory from 'addr'",
                (a, out) -> dump(a, out, true));
        t.add(
                "x",
                "fmt:/,addr:l",
                "/fmt addr",
                "virtual memory from 'addr'",
                (a, out) -> dump(a, out, false));
        t.add(
                "sum",
                "start:i,size:i",
                "addr size",
                "checksum of a range of physical memory",
                this::checksum);
        t.addInfo(
                "tlb",
                "",
                "",
                "the pages that the processor has mapped",
                (a, out) -> list(out, PageListing::pages));
        t.addInfo(
                "mem",
                "",
                "",
                "the ranges that the processor has mapped, by their rights",
                (a, out) -> list(out, PageListing::ranges));
        t.add("gva2gpa", "addr:l", "addr", "physical address of a virtual one", this::physical);
        t.add("gpa2hva", "addr:l", "addr", "where this process has physical memory", this::host);
        t.add(
                "memsave",
                "val:l,size:i,filename:s",
                "addr size file",
                "write virtual memory to a file",
                (a, out) ->
                        MemoryFile.write(
                                guest(vmm),
                                tables(),
                                a.integer("val", 0),
                                a.integer("size", 0),
                                a.string("filename")));
        t.add(
                "pmemsave",
                "val:l,size:i,filename:s",
                "addr size file",
                "write physical memory to a file",
                (a, out) ->
                        MemoryFile.write(
                                guest(vmm),
                                null,
                                a.integer("val", 0),
                                a.integer("size", 0),
                                a.string("filename")));
        t.add(
                "cpu",
                "index:i",
                "index",
                "choose the processor that commands are about",
                (a, out) -> {
                    long index = a.integer("index", 0);
                    if (index >= cpus()) {
                        out.append("invalid CPU index\n");
                    } else {
                        cpu = (int) index;
                    }
                });
        t.addInfo(
                "registers",
                "cpustate_all:-a,vcpu:i?",
                "[-a] [vcpu]",
                "registers of the processors",
                this::registers);
        t.addInfo(
                "lapic",
                "apic-id:i?",
                "[apic-id]",
                "local APIC of a processor",
                (a, out) -> {
                    Machine machine = vmm.machine();
                    int index = (int) a.integer("apic-id", cpu);
                    String text = machine == null ? null : machine.vcpus().describeLocalApic(index);
                    out.append(text == null ? "No CPU available\n" : text);
                });
    }

    private int cpus() {
        Machine machine = vmm.machine();
        return machine == null ? 0 : machine.vcpus().threads().size();
    }

    /** The memory of the machine, or of the empty board that stands for none. */
    static PhysicalMemory guest(VmmProcess vmm) {
        Machine machine = vmm.machine();
        return machine == null ? vmm.service(EmptyBoard.class) : machine;
    }

    private @Nullable CpuRegisters cpuRegisters() {
        Machine machine = vmm.machine();
        return machine == null ? null : machine.vcpus().registers(cpu);
    }

    private @Nullable Long register(String name) {
        CpuRegisters registers = cpuRegisters();
        return registers == null ? null : registers.find(name);
    }

    private void registers(HmpArguments a, StringBuilder out) {
        Machine machine = vmm.machine();
        if (a.flag("cpustate_all")) {
            for (int i = 0; i < cpus(); i++) {
                out.append(machine == null ? "" : machine.vcpus().describe(i));
            }
            return;
        }
        long index = a.integer("vcpu", cpu);
        if (machine != null && index < cpus()) {
            out.append(machine.vcpus().describe((int) index));
        } else {
            out.append(a.has("vcpu") ? "CPU#" + index + " not available\n" : "No CPU available\n");
        }
    }

    private void list(StringBuilder out, BiConsumer<PageTables, StringBuilder> listing) {
        Machine machine = vmm.machine();
        CpuRegisters registers = cpuRegisters();
        if (machine == null || registers == null) {
            out.append("No CPU available\n");
            return;
        }
        listing.accept(tables(machine, registers), out);
    }

    /** The tables of the chosen processor. */
    private PageTables tables() throws QmpException {
        Machine machine = vmm.machine();
        CpuRegisters r = cpuRegisters();
        if (machine == null || r == null) {
            throw new QmpException("No CPU");
        }
        return tables(machine, r);
    }

    static PageTables tables(Machine machine, CpuRegisters r) {
        return new PageTables(machine.memory(), r.cr0(), r.cr3(), r.cr4(), r.efer());
    }

    // ---- dumps

    private void dump(HmpArguments a, StringBuilder out, boolean physical) {
        char format = a.string("format").charAt(0);
        long address = a.integer("addr", 0);
        Machine machine = vmm.machine();
        CpuRegisters registers = cpuRegisters();
        if (registers == null && (format == 'i' || !physical)) {
            out.append("Can not dump without CPU\n");
            return;
        }
        if (format == 'i') {
            out.append("0x%08x: Asm output not supported on this arch\n".formatted(address));
            return;
        }
        int size = (int) a.integer("size", 4);
        int left = (int) a.integer("count", 1) * size; // 32 bits that wrap, as in QEMU
        PageTables tables =
                physical || machine == null || registers == null
                        ? null
                        : tables(machine, registers);
        PhysicalMemory guest = guest(vmm);
        byte[] line = new byte[size == 1 ? 8 : 16];
        int cell = format == 'c' ? 1 : size;
        for (int shown = 0; left > 0; ) {
            if (shown >= LONGEST_DUMP) {
                out.append("Only ").append(LONGEST_DUMP).append(" bytes are shown at once\n");
                return;
            }
            int length = Math.min(left, line.length);
            hexadecimal(out, address, 16);
            out.append(':');
            if (!read(guest, tables, address, line, length)) {
                out.append(" Cannot access memory\n");
                return;
            }
            for (int at = 0; at < length; at += cell) {
                out.append(' ');
                cell(out, format, value(line, at, cell), cell);
            }
            out.append('\n');
            address += length;
            shown += length;
            left -= length;
        }
    }

    /** Reads bytes as a debugger; false when not all of them are there. */
    static boolean read(
            PhysicalMemory guest,
            @Nullable PageTables tables,
            long address,
            byte[] target,
            int length) {
        AddressSpace memory = guest.memory();
        for (int done = 0; done < length; ) {
            long at = address + done;
            int n = Math.min(length - done, PageTables.PAGE - (int) (at & PageTables.PAGE - 1));
            OptionalLong physical = tables == null ? OptionalLong.of(at) : tables.translate(at);
            if (physical.isEmpty() || !memory.mapped(physical.getAsLong(), n)) {
                return false;
            }
            guest.dma().read(physical.getAsLong(), target, done, n);
            done += n;
        }
        return true;
    }

    private static long value(byte[] bytes, int at, int size) {
        long value = 0;
        for (int i = size - 1; i >= 0; i--) {
            value = value << 8 | bytes[at + i] & 0xff;
        }
        return value;
    }

    /** A value as wide as the widest of its size; only one of 8 bytes can be negative. */
    private static void cell(StringBuilder out, char format, long value, int size) {
        int bits = size * 8;
        switch (format) {
            case 'x' -> hexadecimal(out.append("0x"), value, size * 2);
            case 'o' ->
                    padded(out, value == 0 ? "0" : "0" + Long.toOctalString(value), (bits + 2) / 3);
            case 'u' -> padded(out, Long.toUnsignedString(value), (bits * 10 + 32) / 33);
            case 'c' -> out.append(character((int) value));
            default -> padded(out, Long.toString(value), (bits * 10 + 32) / 33);
        }
    }

    private static void padded(StringBuilder out, String text, int width) {
        out.repeat(' ', Math.max(0, width - text.length())).append(text);
    }

    private static void hexadecimal(StringBuilder out, long value, int digits) {
        for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) {
            out.append(HEXADECIMAL.charAt((int) (value >>> shift) & 15));
        }
    }

    /** A character in quotes, escaped as in C. */
    static String character(int c) {
        return switch (c) {
            case '\'' -> "'\\''";
            case '\\' -> "'\\\\'";
            case '\n' -> "'\\n'";
            case '\r' -> "'\\r'";
            default -> c >= 32 && c <= 126 ? "'" + (char) c + "'" : "'\\x%02x'".formatted(c);
        };
    }

    // ---- one value

    private void checksum(HmpArguments a, StringBuilder out) throws QmpException {
        long start = a.integer("start", 0);
        long stop = start + a.integer("size", 0) & 0xffff_ffffL; // 32 bits that wrap, as in QEMU
        if (stop - start > LONGEST_SUM) {
            throw new QmpException("sum takes at most " + LONGEST_SUM + " bytes at once");
        }
        PhysicalMemory guest = guest(vmm);
        byte[] chunk = new byte[PageTables.PAGE];
        int sum = 0;
        for (long at = start; at < stop; ) {
            int n = (int) Math.min(stop - at, chunk.length - (at & chunk.length - 1));
            if (!guest.memory().mapped(at, n)) {
                Arrays.fill(chunk, (byte) 0);
            } else {
                guest.dma().read(at, chunk, 0, n);
            }
            for (int i = 0; i < n; i++) {
                sum = (sum >> 1 | sum << 15) + (chunk[i] & 0xff) & 0xffff;
            }
            at += n;
        }
        out.append("%05d\n".formatted(sum));
    }

    private void physical(HmpArguments a, StringBuilder out) {
        long address = a.integer("addr", 0);
        Machine machine = vmm.machine();
        CpuRegisters r = cpuRegisters();
        if (machine == null || r == null) {
            out.append("No cpu\n");
            return;
        }
        OptionalLong found = tables(machine, r).translate(address);
        if (found.isEmpty()) {
            out.append("Unmapped\n");
        } else {
            // As C's %#x has it, zero goes without the sign of its base.
            long gpa = found.getAsLong();
            out.append("gpa: ").append(gpa == 0 ? "0" : "0x" + Long.toHexString(gpa)).append('\n');
        }
    }

    private void host(HmpArguments a, StringBuilder out) {
        long address = a.integer("addr", 0);
        AddressSpace memory = guest(vmm).memory();
        if (!memory.mapped(address, 1)) {
            out.append("No memory is mapped at address 0x%x\n".formatted(address));
            return;
        }
        AddressSpace.RamPlace place = memory.ram(address);
        if (place == null) {
            out.append("Memory at address 0x%x is not RAM\n".formatted(address));
            return;
        }
        out.append(
                "Host virtual address for 0x%x (%s) is 0x%x\n"
                        .formatted(address, place.region(), place.host()));
    }
}
