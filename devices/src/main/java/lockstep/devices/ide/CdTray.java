package lockstep.devices.ide;

import lockstep.block.Tray;

/**
 * The tray of a CD drive in the user's hand.
 *
 * @param interrupt tells the guest to look
 */
record CdTray(Drive drive, Runnable interrupt) implements Tray {
    @Override
    public boolean open() {
        return drive.trayOpen;
    }

    @Override
    public boolean locked() {
        return drive.trayLocked;
    }

    @Override
    public void move(boolean open) {
        drive.trayOpen = open;
        PacketCommands.mediumChanged(drive);
        interrupt.run();
    }

    @Override
    public void requestEject(boolean force) {
        drive.ejectRequest = true;
        if (force) {
            drive.trayLocked = false;
        }
        interrupt.run();
    }
}
