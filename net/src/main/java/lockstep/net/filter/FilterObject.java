package lockstep.net.filter;

import lockstep.api.NetFilterDirection;
import lockstep.api.NetfilterInsert;
import lockstep.api.NetfilterPropertiesMembers;
import lockstep.net.NetException;
import lockstep.net.wire.Direction;
import lockstep.net.wire.NetFilter;
import lockstep.qmp.ErrorClass;
import lockstep.qmp.QmpException;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.object.UserObject;

import java.util.List;

/** A filter as an object of {@code -object} and object-add. Under the machine lock. */
public final class FilterObject implements UserObject {
    /** Makes a filter from its placement. */
    @FunctionalInterface
    public interface Maker {
        /** Takes what the filter needs; it is not in its chain yet. */
        NetFilter make(NetFilter.Placement placement) throws NetException;
    }

    private final NetFilter filter;

    private FilterObject(NetFilter filter) {
        this.filter = filter;
    }

    /**
     * Makes a filter and puts it into its chain.
     *
     * @throws QmpException with QEMU's words for what is wrong
     */
    public static FilterObject create(String id, NetfilterPropertiesMembers options, Maker maker)
            throws QmpException {
        String status = options.status();
        NetFilterDirection queue = options.queue();
        String position = options.position();
        boolean on = status == null || NetFilter.status(status);
        NetFilter.Placement placement =
                new NetFilter.Placement(
                        id,
                        options.netdev(),
                        queue == null ? Direction.ALL : Direction.valueOf(queue.name()),
                        on,
                        position == null ? "tail" : position,
                        options.insert() == NetfilterInsert.BEFORE);
        try {
            NetFilter filter = maker.make(placement);
            filter.insert();
            return new FilterObject(filter);
        } catch (NetException e) {
            throw new QmpException(
                    e instanceof DeviceNotFoundException
                            ? ErrorClass.DEVICE_NOT_FOUND
                            : ErrorClass.GENERIC_ERROR,
                    String.valueOf(e.getMessage()),
                    e);
        }
    }

    /** The filter. */
    public NetFilter filter() {
        return filter;
    }

    @Override
    public List<QomProperty> properties() {
        return filter.properties();
    }

    @Override
    public void close() {
        filter.close();
    }
}
