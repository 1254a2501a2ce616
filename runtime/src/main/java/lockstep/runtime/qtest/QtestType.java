package lockstep.runtime.qtest;

import lockstep.runtime.accelerator.Accelerator;
import lockstep.runtime.accelerator.AcceleratorType;
import lockstep.runtime.cpu.CpuModel;
import lockstep.runtime.cpu.CpuidLeaf;
import lockstep.runtime.loop.EventLoop;

import java.util.List;
import java.util.Map;

/** Nothing runs; a test drives the devices. */
public final class QtestType implements AcceleratorType {
    /** Any number of machines can be opened. */
    public QtestType() {}

    @Override
    public String name() {
        return "qtest";
    }

    @Override
    public String title() {
        return "QTest";
    }

    @Override
    public boolean automatic() {
        return false;
    }

    /** Every feature: nobody will execute anything. */
    @Override
    public List<CpuidLeaf> supportedCpuid() {
        return CpuModel.everything();
    }

    @Override
    public Accelerator open(Map<String, String> given, EventLoop loop) {
        return new QtestAccelerator(this, loop);
    }
}
