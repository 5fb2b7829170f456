package io.e2bridge;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.internal.Fields;
import java.util.List;
import java.util.Objects;

/**
 * The isolation really in force, and the mechanism of each limit.
 *
 * @param json the document as it came
 */
public record IsolationReport(JsonNode json) implements E2BDocument {
    /** Wraps a document, which must not be null. */
    public IsolationReport {
        Objects.requireNonNull(json, "json");
    }

    /**
     * {@return {@code full}; {@code process}, without namespaces, where the host refuses them, or {@code unbounded_processes} or
     * {@code unbounded_memory} where that limit cannot be had, all with {@link Isolation#BEST_EFFORT} only; {@code none} without an
     * engine}
     */
    public String tier() {
        return Fields.text(json, "tier");
    }

    /**
     * {@return namespaces of its own: {@code user}, {@code pid}, {@code mount}, {@code ipc}, {@code uts}, {@code net}, {@code
     * cgroup}; none in the tier {@code process}}
     */
    public List<String> namespaces() {
        return Fields.texts(json, "namespaces");
    }

    /** {@return {@code dedicated} host ids that own nothing, or {@code own}: the calling user's id behind a closed view} */
    public String ids() {
        return Fields.text(json, "ids");
    }

    /** {@return true when a seccomp filter is in force} */
    public boolean seccomp() {
        return Fields.flag(json, "seccomp");
    }

    /** {@return landlock ABI version in force; 0 = the kernel has none} */
    public int landlockAbi() {
        return Fields.integer(json, "landlock_abi");
    }

    /** {@return {@code cgroup_v1}, {@code cgroup_v2} or {@code per_process}} */
    public String memory() {
        return Fields.text(json, "memory");
    }

    /**
     * {@return {@code cgroup_v1}, {@code cgroup_v2} or {@code pid_max}; in the tier {@code process} {@code per_user} instead of the
     * last: the kernel counts all processes of the user id}
     */
    public String processes() {
        return Fields.text(json, "processes");
    }

    /** {@return {@code cgroup_v1}, {@code cgroup_v2} or {@code affinity}} */
    public String cpu() {
        return Fields.text(json, "cpu");
    }

    /** {@return {@code tmpfs}: all files together are bounded; in the tier {@code process} {@code per_file}: each file is} */
    public String disk() {
        return Fields.text(json, "disk");
    }
}
