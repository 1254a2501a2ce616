package lockstep.colo.compare;

import lockstep.api.ColoComparePolicy;
import lockstep.api.ColoCompareProperties;
import lockstep.api.ObjectOptions;
import lockstep.net.NetFilters;
import lockstep.qmp.ErrorClass;
import lockstep.qmp.QmpException;
import lockstep.runtime.object.Iothread;
import lockstep.runtime.object.ObjectTree;
import lockstep.runtime.spi.Registration;
import lockstep.runtime.spi.Vmm;

import org.jspecify.annotations.Nullable;

/**
 * Offers colo-compare to {@code -object} and object-add, and the comparisons to the rest of COLO.
 */
public final class CompareObjects {
    private static final long MOST_UINT32 = 0xffff_ffffL;

    private CompareObjects() {}

    /** Called once, by the room. */
    public static void install(Registration offer, Vmm vmm) {
        Comparisons comparisons = new Comparisons();
        vmm.publish(PacketComparison.class, comparisons);
        vmm.find(NetFilters.class).ifPresent(filters -> filters.holder(comparisons::holding));
        offer.objectType(
                ColoCompare.TYPE,
                ObjectOptions.ColoCompare.class,
                (o, v) -> create(o.id(), o.data(), comparisons, v));
    }

    private static ColoCompare create(
            String id, ColoCompareProperties p, Comparisons comparisons, Vmm vmm)
            throws QmpException {
        CompareConfig config =
                new CompareConfig(
                        id,
                        p.primaryIn(),
                        p.secondaryIn(),
                        p.outdev(),
                        p.iothread(),
                        p.notifyDev() == null || p.notifyDev().isEmpty() ? null : p.notifyDev(),
                        uint32(
                                "compare_timeout",
                                p.compareTimeout(),
                                CompareConfig.DEFAULT_TIMEOUT),
                        uint32(
                                "expired_scan_cycle",
                                p.expiredScanCycle(),
                                CompareConfig.DEFAULT_SCAN),
                        p.maxQueueSize(),
                        p.policy() == null ? ColoComparePolicy.STRICT : p.policy(),
                        p.settleTime() == null ? CompareConfig.DEFAULT_SETTLE : p.settleTime(),
                        Boolean.TRUE.equals(p.vnetHdrSupport()));
        Iothread thread = vmm.objects().object(p.iothread(), Iothread.class);
        if (thread == null) {
            throw new QmpException("Device '" + p.iothread() + "' not found");
        }
        try {
            ColoCompare compare =
                    ColoCompare.open(
                            new ColoCompare.Setup(
                                    config,
                                    comparisons,
                                    vmm.chardevs()::find,
                                    thread.loop(),
                                    vmm::report,
                                    thread::release,
                                    name -> iothread(vmm, name)));
            thread.acquire();
            return compare;
        } catch (CompareException e) {
            throw new QmpException(ErrorClass.GENERIC_ERROR, String.valueOf(e.getMessage()), e);
        }
    }

    private static String iothread(Vmm vmm, String name) throws QmpException {
        ObjectTree.Node node = vmm.objects().find(name);
        if (node == null) {
            throw new QmpException(ErrorClass.DEVICE_NOT_FOUND, "Device '" + name + "' not found");
        }
        if (!node.type().equals("iothread")) {
            throw new QmpException("Invalid parameter type for 'iothread', expected: iothread");
        }
        return node.path();
    }

    private static long uint32(String name, @Nullable Long value, long fallback)
            throws QmpException {
        if (value == null) {
            return fallback;
        }
        if (value < 0 || value > MOST_UINT32) {
            throw new QmpException("Parameter '" + name + "' expects uint32_t");
        }
        return value;
    }
}
