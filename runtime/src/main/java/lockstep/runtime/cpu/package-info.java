/** Processor models: which CPUID answers a guest gets. */
package lockstep.runtime.cpu;
