/** What COLO counts and times. */
package lockstep.colo.measure;
