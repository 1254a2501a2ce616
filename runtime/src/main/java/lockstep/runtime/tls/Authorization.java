package lockstep.runtime.tls;

import lockstep.qmp.QmpException;
import lockstep.runtime.object.ObjectTree;
import lockstep.runtime.object.QomType;
import lockstep.runtime.object.UserObject;

/** An object that knows who may connect: {@code authz-simple}, {@code authz-list}, {@code authz-list-file}. */
public interface Authorization extends UserObject {
    /** What all of them are. */
    QomType<Authorization> TYPE = QomType.abstraction("authz");

    /**
     * Whether somebody may, by the distinguished name of the certificate. Any thread; may read a file.
     *
     * @throws QmpException why nobody can tell, so that he may not
     */
    boolean allows(String identity) throws QmpException;

    /** The one of that identifier. Under the machine lock. */
    static Authorization find(ObjectTree objects, String id) throws QmpException {
        UserObject object = objects.object(id);
        if (object == null) {
            throw new QmpException("Cannot find QAuthZ object ID " + id);
        }
        if (!(object instanceof Authorization a)) {
            throw new QmpException("Object '" + id + "' is not a QAuthZ subclass");
        }
        return a;
    }
}
