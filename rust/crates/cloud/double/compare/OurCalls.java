import io.e2bridge.Backend;
import io.e2bridge.E2B;
import io.e2bridge.E2BConfig;
import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/** Makes the calls of sdk.js with E2Bridge, in the same order. Arguments: the address of the double, the key that it accepts. */
final class OurCalls {
    private static String address;

    private OurCalls() {}

    public static void main(String[] arguments) throws IOException {
        address = arguments[0];
        try (E2B client = E2B.open(E2BConfig.builder()
                .backend(Backend.CLOUD).apiKey(arguments[1]).apiUrl(URI.create(address)).sandboxUrl(URI.create(address)).build())) {
            step("create");
            String sandbox = client.createE2BSandbox("compare", "python", 60, 128, 1).sandboxId();
            step("list");
            client.listE2BSandboxes("running");
            step("status");
            client.getE2BSandboxStatus(sandbox);
            step("execute");
            client.executeE2BProcess(sandbox, "echo hello", null, 10, true);
            step("write");
            client.writeE2BFile(sandbox, "/home/user/file", "content".getBytes(StandardCharsets.UTF_8));
            step("read");
            client.readE2BFile(sandbox, "/home/user/file");
            step("code");
            client.runE2BCode(sandbox, "python", "1 + 1", null, 30);
            step("code in a context");
            client.runE2BCode(sandbox, "python", "1 + 1", "mine", 30);
            step("timeout");
            client.setE2BTimeout(sandbox, 120);
            step("health");
            client.monitorE2BHealth(true);
            step("export");
            client.exportE2BTemplate(sandbox, "compared", true);
            step("create from it");
            String copy = client.createE2BSandbox("copy", "compared", 60, 128, 1).sandboxId();
            step("end of the copy");
            client.terminateE2BSandbox(copy, true);
            step("delete the template");
            client.deleteE2BTemplate("compared");
            step("deploy");
            String deployment = client.deployE2BTemplate("base", "compare", Map.of("instances", 1, "env", Map.of("A", "1"))).deploymentId();
            step("scale away");
            client.scaleE2BDeployment(deployment, 0, false);
            step("terminate");
            client.terminateE2BSandbox(sandbox, true);
        }
    }

    private static void step(String name) throws IOException {
        HttpURLConnection connection = (HttpURLConnection) URI.create(address + "/-/step").toURL().openConnection();
        connection.setRequestMethod("PUT");
        connection.setDoOutput(true);
        connection.getOutputStream().write(("{\"name\":\"" + name + "\"}").getBytes(StandardCharsets.UTF_8));
        if (connection.getResponseCode() != 204) {
            throw new IOException("the double does not take a step");
        }
    }
}
