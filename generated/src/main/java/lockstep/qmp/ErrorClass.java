package lockstep.qmp;

import org.jspecify.annotations.Nullable;

/** QMP's error classes. */
public enum ErrorClass {
    /** Everything without a class of its own. */
    GENERIC_ERROR("GenericError"),
    /** No such command here and now. */
    COMMAND_NOT_FOUND("CommandNotFound"),
    /** The device has failed to become active. */
    DEVICE_NOT_ACTIVE("DeviceNotActive"),
    /** No such device. */
    DEVICE_NOT_FOUND("DeviceNotFound"),
    /** KVM lacks a capability. */
    KVM_MISSING_CAP("KVMMissingCap");

    private final String wireName;

    ErrorClass(String wireName) {
        this.wireName = wireName;
    }

    /** The name in a reply. */
    public String wireName() {
        return wireName;
    }

    /** The class of that name, or null when it is not known. */
    public static @Nullable ErrorClass find(String wireName) {
        for (ErrorClass value : values()) {
            if (value.wireName.equals(wireName)) {
                return value;
            }
        }
        return null;
    }
}
