package lockstep.runtime.qtest;

import lockstep.api.ObjectOptions;
import lockstep.qmp.QmpException;
import lockstep.runtime.chardev.Chardev;
import lockstep.runtime.object.QomKind;
import lockstep.runtime.object.QomProperty;
import lockstep.runtime.object.QomType;
import lockstep.runtime.object.UserObject;
import lockstep.runtime.spi.Vmm;

import org.jspecify.annotations.Nullable;

import java.io.IOException;
import java.util.List;

/** {@code -object qtest}: the server, made by a user as an object. */
final class QtestObject implements UserObject {
    static final QomType<QtestObject> TYPE =
            QomType.<QtestObject>of("qtest")
                    .with("chardev", QomKind.STRING, null, o -> o.chardev, null)
                    .with("log", QomKind.STRING, null, o -> o.log == null ? "" : o.log, null);

    private final QtestServer server;
    private final String chardev;
    private final @Nullable String log;

    private QtestObject(QtestServer server, String chardev, @Nullable String log) {
        this.server = server;
        this.chardev = chardev;
        this.log = log;
    }

    static QtestObject create(ObjectOptions.Qtest options, Vmm vmm) throws QmpException {
        String chardev = options.data().chardev();
        String log = options.data().log();
        Chardev device = vmm.chardevs().find(chardev);
        if (device == null) {
            throw new QmpException("Cannot find character device '" + chardev + "'");
        }
        if (vmm.find(QtestServer.class).isPresent()) {
            throw new QmpException("Only one instance of qtest can be created");
        }
        try {
            return new QtestObject(new QtestServer(vmm, device, QtestLog.open(log)), chardev, log);
        } catch (IOException e) {
            throw new QmpException(String.valueOf(e.getMessage()));
        }
    }

    @Override
    public List<QomProperty> properties() {
        return TYPE.properties(this);
    }

    @Override
    public void close() {
        server.close();
    }
}
