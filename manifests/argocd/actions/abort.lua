obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["serin.dev/command"] = "abort"
obj.metadata.annotations["serin.dev/command-reason"] = "given in Argo CD"
return obj
