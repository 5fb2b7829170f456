package io.e2bridge.conformance;

import java.util.Collections;
import java.util.EnumSet;
import java.util.Set;

/** What one backend can and another cannot. Everything that is not here holds on each. */
enum Capability {
    /** Code runs in an interpreter. */
    CODE,
    /** Each sandbox has files and variables of its own. */
    SANDBOXES_APART,
    /** The limits that were asked for are those of the sandbox; elsewhere the template's size decides. */
    LIMITS_AS_ASKED,
    /** A result says when memory ran out. */
    OUT_OF_MEMORY_IS_SEEN,
    /** Templates go to files and come from files. */
    TEMPLATE_FILES,
    /** Another process of the same account sees what this one made. */
    SHARED_BY_PROCESSES;

    /** Those of every cluster with the code interpreter. */
    static final Set<Capability> OF_A_CLUSTER =
            Collections.unmodifiableSet(EnumSet.of(CODE, SANDBOXES_APART, SHARED_BY_PROCESSES));
}
