/**
 * {@code lockstep-colo}: shows the two sides of a COLO pair, and protects the side that is left with a new
 * secondary. It talks QMP through the typed client and knows nothing else of the machines.
 */
@org.jspecify.annotations.NullMarked
package lockstep.protect;
