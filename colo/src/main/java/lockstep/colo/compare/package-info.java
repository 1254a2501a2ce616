/**
 * colo-compare: holds back what the primary guest sends until the secondary guest has sent the
 * same, and asks for a checkpoint when they differ.
 */
package lockstep.colo.compare;
