"""Reading and writing scenes outside of the application."""


def able_to_read_files(scene, folder):
    """Give a scene the cache that the application gives it, without which it reads no bundles."""
    import slicer

    cache, data = slicer.vtkCacheManager(), slicer.vtkDataIOManager()
    cache.SetRemoteCacheDirectory(str(folder))
    cache.SetMRMLScene(scene)
    data.SetCacheManager(cache)
    scene.SetCacheManager(cache)
    scene.SetDataIOManager(data)
    return scene, cache, data  # to be kept alive
