package lockstep.block.throttle;

import lockstep.api.ObjectOptions;
import lockstep.api.ThrottleGroupProperties;
import lockstep.api.ThrottleLimits;
import lockstep.block.node.BlockException;
import lockstep.qmp.ErrorClass;
import lockstep.qmp.JsonOutputVisitor;
import lockstep.qmp.QmpException;
import lockstep.runtime.object.QomKind;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.object.QomType;
import lockstep.runtime.object.UserObject;

import org.jspecify.annotations.Nullable;

import java.util.List;
import java.util.function.Function;

/** {@code -object throttle-group}: limits that nodes of driver {@code throttle} name. */
public final class ThrottleGroupObject implements UserObject {
    /** Its properties; {@code limits} can be changed, some of them at a time. */
    public static final QomType<ThrottleGroupObject> TYPE = type();

    private final ThrottleGroups groups;
    private final ThrottleGroup group;

    private ThrottleGroupObject(ThrottleGroups groups, ThrottleGroup group) {
        this.groups = groups;
        this.group = group;
    }

    private static QomType<ThrottleGroupObject> type() {
        QomType<ThrottleGroupObject> type =
                QomType.<ThrottleGroupObject>of("throttle-group")
                        .with(
                                "limits",
                                new QomKind<>(
                                        "ThrottleLimits",
                                        ThrottleLimits::read,
                                        l -> JsonOutputVisitor.toJson(l, ThrottleLimits::write)),
                                null,
                                o -> o.group.limits().shown(),
                                ThrottleGroupObject::change);
        for (Measure m : Measure.values()) {
            type = initial(type, m.option(), m.average);
            type = initial(type, m.option() + "-max", m.burst);
            type = initial(type, m.option() + "-max-length", m.burstSeconds);
        }
        return initial(type, "iops-size", ThrottleLimits::iopsSize);
    }

    private static QomType<ThrottleGroupObject> initial(
            QomType<ThrottleGroupObject> type,
            String option,
            Function<ThrottleLimits, @Nullable Long> value) {
        return type.fixed(
                "x-" + option,
                QomKind.INT,
                null,
                o -> {
                    Long shown = value.apply(o.group.limits().shown());
                    return shown == null ? 0 : shown;
                },
                o -> "Property cannot be set after initialization");
    }

    /** Makes one of {@code -object} options. */
    public static ThrottleGroupObject create(
            ObjectOptions.ThrottleGroup options, ThrottleGroups groups) throws QmpException {
        ThrottleGroupProperties given = options.data();
        try {
            Limits limits = Limits.NONE;
            ThrottleLimits named = given.limits();
            if (named != null) {
                limits = limits.with(named);
            }
            limits = limits.with(older(given));
            ThrottleGroup group = groups.create(options.id());
            group.limits(limits);
            return new ThrottleGroupObject(groups, group);
        } catch (BlockException e) {
            throw failure(e);
        }
    }

    private static ThrottleLimits older(ThrottleGroupProperties p) throws QmpException {
        return ThrottleLimits.builder()
                .bpsTotal(positive(p.xBpsTotal()))
                .bpsTotalMax(positive(p.xBpsTotalMax()))
                .bpsTotalMaxLength(positive(p.xBpsTotalMaxLength()))
                .bpsRead(positive(p.xBpsRead()))
                .bpsReadMax(positive(p.xBpsReadMax()))
                .bpsReadMaxLength(positive(p.xBpsReadMaxLength()))
                .bpsWrite(positive(p.xBpsWrite()))
                .bpsWriteMax(positive(p.xBpsWriteMax()))
                .bpsWriteMaxLength(positive(p.xBpsWriteMaxLength()))
                .iopsTotal(positive(p.xIopsTotal()))
                .iopsTotalMax(positive(p.xIopsTotalMax()))
                .iopsTotalMaxLength(positive(p.xIopsTotalMaxLength()))
                .iopsRead(positive(p.xIopsRead()))
                .iopsReadMax(positive(p.xIopsReadMax()))
                .iopsReadMaxLength(positive(p.xIopsReadMaxLength()))
                .iopsWrite(positive(p.xIopsWrite()))
                .iopsWriteMax(positive(p.xIopsWriteMax()))
                .iopsWriteMaxLength(positive(p.xIopsWriteMaxLength()))
                .iopsSize(positive(p.xIopsSize()))
                .build();
    }

    private static @Nullable Long positive(@Nullable Long value) throws QmpException {
        if (value != null && value < 0) {
            throw new QmpException("Property values cannot be negative");
        }
        return value;
    }

    private static QmpException failure(BlockException e) {
        return new QmpException(ErrorClass.GENERIC_ERROR, String.valueOf(e.getMessage()), e);
    }

    private void change(ThrottleLimits changes) throws QmpException {
        try {
            group.limits(group.limits().with(changes));
        } catch (BlockException e) {
            throw failure(e);
        }
    }

    @Override
    public List<QomProperty> properties() {
        return TYPE.properties(this);
    }

    @Override
    public boolean removable() {
        return !group.used();
    }

    @Override
    public void close() {
        groups.delete(group.name());
    }
}
