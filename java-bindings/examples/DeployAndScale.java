import io.e2bridge.DeploymentCreated;
import io.e2bridge.DeploymentScaled;
import io.e2bridge.E2B;
import io.e2bridge.E2BConfig;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/** Makes a template of a sandbox, deploys it, and scales it up and away. */
public final class DeployAndScale {
    private DeployAndScale() {}

    public static void main(String[] arguments) throws IOException {
        Path templates = Files.createTempDirectory("templates");
        try (E2B e2b = E2B.open(E2BConfig.builder().dataDirectory(templates).build())) {
            String sandbox = e2b.createE2BSandbox("builder", "base").sandboxId();
            e2b.writeE2BFile(sandbox, "/opt/greeting", "hello".getBytes(StandardCharsets.UTF_8));
            e2b.exportE2BTemplate(sandbox, "greeter");
            e2b.terminateE2BSandbox(sandbox);

            DeploymentCreated deployment = e2b.deployE2BTemplate(
                    "greeter", "example", Map.of("instances", 2, "memory_mb", 64, "env", Map.of("WHO", "world")));
            for (String instance : deployment.sandboxIds()) {
                System.out.println(e2b.executeE2BProcess(instance, "echo $(cat /opt/greeting) $WHO").stdout().strip());
            }

            DeploymentScaled more = e2b.scaleE2BDeployment(deployment.deploymentId(), 4);
            System.out.println(more.status() + " from " + more.previousInstances() + " to " + more.instances());
            System.out.println(e2b.scaleE2BDeployment(deployment.deploymentId(), 0).status());
            e2b.deleteE2BTemplate("greeter");
        }
    }
}
